"""Every plain type, in and out."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Optional, Union
from uuid import UUID

import dspy


class Reconcile(dspy.Signature):
    """Compare an invoice with the bank's record of its payment."""

    invoice_id: UUID = dspy.InputField()
    customer: str = dspy.InputField()
    items: int = dspy.InputField()
    weight: float = dspy.InputField()
    paid: bool = dspy.InputField()
    due: date = dspy.InputField()
    booked: datetime = dspy.InputField()
    cutoff: time = dspy.InputField()
    grace: timedelta = dspy.InputField()
    total: Decimal = dspy.InputField()
    prices: list[float] = dspy.InputField()
    stock: dict[str, int] = dspy.InputField()
    spot: tuple[float, float] = dspy.InputField()
    parts: tuple[str, ...] = dspy.InputField()
    flags: set[int] = dspy.InputField()
    note: Optional[str] = dspy.InputField()  # noqa: UP045
    amount: Union[int, float, str] = dspy.InputField()  # noqa: UP007
    rate: float | None = dspy.InputField()
    ledger: dict[str, list[tuple[date, float | None]]] = dspy.InputField()

    matches: bool = dspy.OutputField()
    differences: int = dspy.OutputField()
    gap: float = dspy.OutputField()
    paid_on: date = dspy.OutputField()
    checked_at: datetime = dspy.OutputField()
    lines: list[tuple[str, float]] = dspy.OutputField()
    by_account: dict[str, float] = dspy.OutputField()
    remark: str | None = dspy.OutputField()
    reference: int | str = dspy.OutputField()


program = dspy.Predict(Reconcile)
