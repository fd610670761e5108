"""Load the SQL of the questions: one per `.sql` file. The `part_*.sql` files are included in questions only."""

import re
from functools import cache
from importlib.resources import files

_WITHIN = re.compile(r"/\* (\w+)\.sql \*/")
_IF = re.compile(r"^(.*?) *-- if (\w+)\n", re.MULTILINE)


@cache
def question(name: str, given: frozenset[str] = frozenset()) -> str:
    """Return the SQL of the question `name`, with `/* part_other.sql */` replaced by that file's SQL.

    A line that ends with `-- if limit` is included only if the parameter `limit` is in `given`, the names of parameters
    with a value. So conditions that are not needed do not slow down the query. Values are ClickHouse's own parameters,
    `{name:Type}`, and never part of the text.
    """
    text = files("t0dspy.warehouse").joinpath(f"{name}.sql").read_text(encoding="utf-8")
    text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("--"))
    text = _IF.sub(lambda line: f"{line[1]}\n" if line[2] in given else "", text)
    return _WITHIN.sub(lambda other: f"\n{question(other[1], given)}", text)
