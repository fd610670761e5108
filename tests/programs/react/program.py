"""An agent with two tools: the predictor that acts and the one that concludes."""

import dspy


def find_order(number: int, region: str = "EU") -> dict[str, str]:
    """Look an order up by its number; {region} is where it was placed."""
    return {"order": str(number), "region": region, "state": "sent"}


def refund(number: int, cents: int, reasons: list[str]) -> str:
    """Give money back."""
    return f"{cents} cents for {number}: {reasons}"


class Help(dspy.Signature):
    """Answer a customer's question about an order, and give money back only where the rules allow it."""

    question: str = dspy.InputField()
    customer_since: int = dspy.InputField()
    answer: str = dspy.OutputField()
    refunded_cents: int = dspy.OutputField()


program = dspy.ReAct(Help, tools=[find_order, refund], max_iters=4)
