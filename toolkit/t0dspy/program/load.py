"""Load a DSPy program from its import path, and hash its source."""

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import dspy

from t0dspy.errors import ProgramError
from t0dspy.model import digest


def load_program(reference: str) -> dspy.Module:
    """Return the live program at `reference`, such as `app.review:program`.

    Args:
        reference: `package.module:attribute`; the attribute is a `dspy.Module`, or a class or function that returns
            one without arguments. The working directory is importable.

    Raises:
        ProgramError: if the module or attribute does not exist, importing or calling it fails, or it is not a
            `dspy.Module`.
    """
    program = import_attribute(reference)
    if not isinstance(program, dspy.Module) and callable(program):
        program = _call(program, reference)
    if not isinstance(program, dspy.Module):
        kind = type(program).__name__
        raise ProgramError(f"{reference} is a {kind}, not a dspy.Module or something that makes one.")
    return program


def require_program(program: object, verb: str) -> dspy.Module:
    """Return `program` if it is a live program.

    Args:
        program: the object to check.
        verb: what the caller does with the program, for the message.

    Raises:
        ProgramError: if it is a class or another object.
    """
    if isinstance(program, dspy.Module):
        return program
    if isinstance(program, type) and issubclass(program, dspy.Module):
        raise ProgramError(f"{program.__name__} is a class: pass an instance to {verb}, {program.__name__}().")
    raise ProgramError(f"a {type(program).__name__} is not a dspy.Module, so there is nothing to {verb}.")


def import_attribute(reference: str) -> Any:
    """Import the attribute at `reference`, such as `app.review:program`.

    Raises:
        ProgramError: if the module or attribute does not exist, or the import fails.
    """
    module_name, _, attribute = reference.partition(":")
    if "/" in module_name or module_name.endswith(".py"):
        dotted = module_name.removesuffix(".py").strip("./").replace("/", ".")
        raise ProgramError(f"{module_name!r} is a file: write its module, {dotted}:{attribute or 'program'}.")
    if not module_name or not attribute:
        raise ProgramError(
            f"{reference!r} is not an import path: write package.module:attribute, such as app.review:program."
        )
    value: Any = _import(module_name)
    for name in attribute.split("."):
        if not hasattr(value, name):
            raise ProgramError(f"{module_name} has no {attribute!r}.{_suggestion(value)}")
        value = getattr(value, name)
    return value


def code_hash(program: dspy.Module, reference: str | None = None) -> str | None:
    """Return a hash of the source files of `program`'s classes and tools, or None if there is no source.

    Blank lines, whole-line comments and trailing blanks are ignored.
    """
    files = code_files(program, reference)
    return digest([[path.name, _significant(path)] for path in files]) if files else None


def code_files(program: dspy.Module, reference: str | None = None) -> list[Path]:
    """Return the source files that `code_hash` reads."""
    return sorted({file for module in _user_modules(program, reference) if (file := _source_file(module)) is not None})


def changed_code(program: dspy.Module, reference: str | None, recorded: str | None) -> str:
    """Return the names of the program's source files if their hash differs from `recorded`, or else "".

    Args:
        program: the live program.
        reference: its import path.
        recorded: the hash in the manifest; None if the manifest has none, in which case nothing is compared.
    """
    if recorded is None or code_hash(program, reference) == recorded:
        return ""
    here = Path.cwd()
    files = [path.relative_to(here) if path.is_relative_to(here) else path for path in code_files(program, reference)]
    return ", ".join(map(str, files)) or "its source"


def _import(name: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ProgramError(f"no module {error.name!r} here or on the Python path (from {name!r}).") from error
        raise ProgramError(f"importing {name} failed: {error}.") from error
    except SyntaxError as error:
        raise ProgramError(f"{type(error).__name__} in {_place(error)}: {error.msg}.") from error
    except (Exception, SystemExit) as error:  # an imported script may exit
        raise ProgramError(f"importing {name} failed: {type(error).__name__}: {error}") from error


def _place(error: SyntaxError) -> str:
    """Return the file and line of an error, relative to the working directory if possible."""
    path = Path(error.filename or "?")
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{shown} line {error.lineno}"


def _call(factory: Any, reference: str) -> Any:
    try:
        return factory()
    except (Exception, SystemExit) as error:
        raise ProgramError(
            f"{reference}() failed: {type(error).__name__}: {error}. It is called without arguments."
        ) from error


def _suggestion(module: Any) -> str:
    programs = sorted(name for name, value in vars(module).items() if isinstance(value, dspy.Module))
    return f" It has {', '.join(programs)}." if programs else ""


def _user_modules(program: dspy.Module, reference: str | None) -> Iterator[ModuleType]:
    names = {type(module).__module__ for _, module in program.named_sub_modules(dspy.Module)}
    for _, module in program.named_sub_modules(dspy.ReAct):
        tools = getattr(module, "tools", {})
        names |= {getattr(tool.func, "__module__", "") for tool in tools.values()}
    names |= {reference.partition(":")[0]} if reference else set()
    for name in sorted(names):
        if name in sys.modules and name.partition(".")[0] not in ("dspy", "builtins"):
            yield sys.modules[name]


def _source_file(module: ModuleType) -> Path | None:
    try:
        file = inspect.getsourcefile(module)
    except TypeError:
        return None
    return Path(file) if file and Path(file).is_file() else None


def _significant(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    in_strings = set(_lines_in_strings(text))  # a line of a prompt may start with # or be blank
    lines = [line if number in in_strings else line.rstrip() for number, line in enumerate(text.split("\n"), 1)]
    return [
        line
        for number, line in enumerate(lines, 1)
        if number in in_strings or (line and not line.lstrip().startswith("#"))
    ]


def _lines_in_strings(source: str) -> Iterator[int]:
    """Yield the numbers of all lines that are part of a multi-line string."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant | ast.JoinedStr) and node.end_lineno and node.end_lineno > node.lineno:
            yield from range(node.lineno, node.end_lineno + 1)
