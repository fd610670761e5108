"""Twenty predictors, as a program that fills a long form would have them."""

import dspy

PARTS = ("owner", "site", "soil", "roof", "walls", "windows", "doors", "stairs", "lift", "heating")


class Survey(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = {part: dspy.Predict(f"notes: str -> {part}: str, found: bool") for part in PARTS}
        self.grade = {part: dspy.ChainOfThought(f"notes: str, {part}: str -> grade: int") for part in PARTS}
        for part, one in self.ask.items():
            one.signature = one.signature.with_instructions(f"Find what the surveyor's notes say about the {part}.")

    def forward(self, notes: str) -> dict[str, int]:
        found = {part: self.ask[part](notes=notes) for part in PARTS}
        return {part: self.grade[part](notes=notes, **{part: found[part][part]}).grade for part in PARTS}


program = Survey()
