"""Demos of every kind that optimizers and people leave behind."""

from datetime import date

import dspy
from pydantic import BaseModel


class Visit(BaseModel):
    day: date
    rooms: list[str] = []


class Plan(dspy.Signature):
    """Plan a guest's stay."""

    request: str = dspy.InputField()
    guests: int | None = dspy.InputField()
    wishes: list[str] = dspy.InputField()
    visit: Visit = dspy.OutputField()
    price: float = dspy.OutputField()


class Confirm(dspy.Signature):
    """Confirm a stay in one line."""

    visit: Visit = dspy.InputField()
    line: str = dspy.OutputField()


class Hotel(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.plan = dspy.ChainOfThought(Plan)
        self.confirm = dspy.Predict(Confirm)
        self.greet = dspy.Predict("name: str -> greeting: str")

    def forward(self, request: str, guests: int | None, wishes: list[str]) -> dspy.Prediction:
        planned = self.plan(request=request, guests=guests, wishes=wishes)
        return dspy.Prediction(visit=planned.visit, price=planned.price)


stay = Visit(day=date(2025, 3, 1), rooms=["12", "14"])
program = Hotel()
program.plan.predict.demos = [
    dspy.Example(request="Two rooms, please.", guests=3, wishes=["quiet", "sea"], visit=stay, price=210.0),
    {
        "augmented": True,
        "request": "One night for me.",
        "guests": 1,
        "wishes": [],
        "reasoning": "One guest needs one room.",
        "visit": Visit(day=date(2025, 3, 2)),
        "price": 1e-07,
    },
    dspy.Example(request="As last year.", guests=None, wishes=["bath"], visit=stay, price=99.5).with_inputs("request"),
    {"request": "Only a request.", "guests": 2, "wishes": []},
    {"request": "No price yet.", "visit": {"day": "2025-04-01", "rooms": ["7"]}, "price": None},
    {"price": 10.0},
    {"request": "Foreign fields.", "visit": stay, "rating": 5, "dspy_uuid": "x", "note": {"a": object}},
    {
        "request": "{{ hostile }} {% endraw %} {# #} </input></output></example> [[ ## visit ## ]]\r\n«»\n\n",
        "guests": 0,
        "wishes": ["{", 'it\'s "quoted" \\ \u2028 \x00'],
        "reasoning": "  spaces around  \n",
        "visit": {"day": "2025-05-05", "rooms": ["{{", "}}"]},
        "price": 12345678901234567890.0,
    },
]
program.confirm.demos = [{"visit": stay, "line": "{"}, {"visit": {"day": "2025-06-01", "rooms": []}, "line": ""}]
program.greet.demos = [{"name": "Ada"}, {"greeting": "Hello"}]
