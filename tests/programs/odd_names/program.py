"""Field names that mean something in Python, pydantic, TensorZero or a template."""

import dspy


class Odd(dspy.Signature):
    """Copy what is asked for."""

    schema: str = dspy.InputField()
    json: dict[str, int] = dspy.InputField()
    copy: str | None = dspy.InputField(default="a copy")
    loop: list[str] = dspy.InputField()
    range: int | None = dspy.InputField()
    namespace: str = dspy.InputField()
    debug: bool = dspy.InputField(default=False)
    model_x: float = dspy.InputField()
    x1: str = dspy.InputField()
    if_: str = dspy.InputField()
    In: str = dspy.InputField()
    self_: str = dspy.InputField()
    caller: str = dspy.InputField()
    v: float = dspy.InputField()
    k: dict[str, float] = dspy.InputField()
    system: str = dspy.InputField()
    user: bool = dspy.InputField()

    items: list[str] = dspy.OutputField()
    keys: str = dspy.OutputField()
    dict: str = dspy.OutputField()
    completed: str = dspy.OutputField()
    class_: int = dspy.OutputField()


program = dspy.Predict(Odd)
