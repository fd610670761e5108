"""The questions to ClickHouse as text: one a `.sql` file, which may ask others within it."""

import re
from functools import cache
from importlib.resources import files

_WITHIN = re.compile(r"/\* (\w+)\.sql \*/")
_IF = re.compile(r"^(.*?) *-- if (\w+)\n", re.MULTILINE)


@cache
def question(name: str, given: frozenset[str] = frozenset()) -> str:
    """The SQL of the question `name`; where it says `/* other.sql */`, the other one stands.

    A line that ends with `-- if limit` is there only if `limit` is one of the parameters `given` a value other than
    nothing: what is not asked for costs no plan. Values are ClickHouse's own parameters, `{name:Type}`, never part of
    the text.
    """
    text = files("t0dspy.warehouse").joinpath(f"{name}.sql").read_text(encoding="utf-8")
    text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("--"))
    text = _IF.sub(lambda line: f"{line[1]}\n" if line[2] in given else "", text)
    return _WITHIN.sub(lambda other: f"\n{question(other[1], given)}", text)
