"""Sampling settings on a predictor's config, on its LM, and on both, where the config wins."""

import dspy

careful = dspy.LM("openai/gpt-4.1-mini", temperature=0.1, max_tokens=300, seed=7, api_key="not-for-any-file")
other = dspy.LM("openai/gpt-4o", temperature=0.3, top_p=0.95, presence_penalty=-0.7, frequency_penalty=0.2)
thinking = dspy.LM("openai/o4-mini", temperature=1.0, max_tokens=20_000, reasoning_effort="low")


class Campaign(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.brief = dspy.Predict("product: str -> brief: str", temperature=0.7, max_tokens=512, stop=["\n\n", "END"])
        self.facts = dspy.Predict("brief: str -> facts: list[str]", temperature=0.0, stop="{{ stop }}")
        self.slogan = dspy.ChainOfThought("brief: str -> slogan: str", temperature=1.3, seed=11, verbosity="low")
        self.check = dspy.Predict("slogan: str -> allowed: bool", service_tier="flex", temperature=None)
        self.rank = dspy.Predict("slogans: list[str] -> best: int")
        self.facts.lm, self.slogan.predict.lm, self.rank.lm = other, careful, thinking

    def forward(self, product: str) -> dspy.Prediction:
        brief = self.brief(product=product).brief
        made = self.slogan(brief=brief)
        return dspy.Prediction(slogan=made.slogan)


program = Campaign()
