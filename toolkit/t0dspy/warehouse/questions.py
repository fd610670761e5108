"""The questions to ClickHouse as text: one a `.sql` file, which may ask others within it."""

import re
from functools import cache
from importlib.resources import files

_WITHIN = re.compile(r"/\* (\w+)\.sql \*/")


@cache
def question(name: str) -> str:
    """The SQL of the question `name`, without its comments; where it says `/* other.sql */`, the other one stands.

    Values are ClickHouse's own parameters, `{name:Type}`, never part of the text.
    """
    text = files("t0dspy.warehouse").joinpath(f"{name}.sql").read_text(encoding="utf-8")
    text = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return _WITHIN.sub(lambda other: f"\n{question(other[1])}", text)
