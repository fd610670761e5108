"""Finds calls and their results in texts: in specifications as people write them, and in tests."""

import ast
import re
from collections.abc import Iterator

Case = tuple[str, str]
"""A call such as `total([1, 2])`, and its result as a Python literal."""

_EQUATION = re.compile(r"^\s*(?:assert\s+)?(\w+\(.*\))\s*(?:==|is)\s*(.+?)\s*$", re.MULTILINE)
_SESSION = re.compile(r"^\s*>>>\s*(\w+\(.*\))\s*\n\s*(\S.*?)\s*$", re.MULTILINE)
_IN_WORDS = re.compile(r"`(\w+\([^`\n]*\))`[^`\n]*?`([^`\n]+)`")


def written_as_code(text: str) -> list[Case]:
    """The examples that stand on lines of their own: `call == result`, `assert call == result`, `>>> call`."""
    return _cases([*_EQUATION.finditer(text), *_SESSION.finditer(text)])


def shown(text: str) -> list[Case]:
    """All examples: those written as code, and those in sentences and tables."""
    return _cases([*_EQUATION.finditer(text), *_SESSION.finditer(text), *_IN_WORDS.finditer(text)])


def called(call: str) -> str:
    """The function's name in a call or a signature."""
    return call.partition("(")[0].strip()


def arguments(call: str) -> list[object]:
    """The arguments of a call, which must be literals.

    Raises:
        ValueError: they are not, or it is no call.
    """
    try:
        node = ast.parse(call, mode="eval").body
        if not isinstance(node, ast.Call) or node.keywords:
            raise ValueError(f"{call!r} is no call with plain arguments")
        return [ast.literal_eval(one) for one in node.args]
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"{call!r} cannot be read") from error


def _cases(matches: list["re.Match[str]"]) -> list[Case]:
    cases: dict[str, str] = {}
    for match in sorted(matches, key=lambda match: match.start()):
        for call, result in _readable(match.group(1), match.group(2)):
            cases.setdefault(call, result)
    return list(cases.items())


def _readable(call: str, result: str) -> Iterator[Case]:
    try:
        arguments(call)
        yield call, repr(ast.literal_eval(result))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return
