"""A DSPy program by its import path, and a hash of its source."""

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
    """The live program at `reference`, such as `app.review:program`.

    Args:
        reference: `package.module:attribute`; the attribute is a `dspy.Module`, or a class or function that makes one
            without arguments. The working directory is importable.

    Raises:
        ProgramError: no such module or attribute, importing or making it failed, or it is no `dspy.Module`.
    """
    found = import_attribute(reference)
    if not isinstance(found, dspy.Module) and callable(found):
        found = _made(found, reference)
    if not isinstance(found, dspy.Module):
        raise ProgramError(f"{reference} is a {type(found).__name__}, not a dspy.Module or something that makes one.")
    return found


def checked_program(program: object, verb: str) -> dspy.Module:
    """`program`, if it is a live one.

    Raises:
        ProgramError: it is a class, or something else, and cannot be what `verb` says.
    """
    if isinstance(program, dspy.Module):
        return program
    if isinstance(program, type) and issubclass(program, dspy.Module):
        raise ProgramError(f"{program.__name__} is a class: make a program of it to {verb}, {program.__name__}().")
    raise ProgramError(f"a {type(program).__name__} is no dspy.Module, so there is nothing to {verb}.")


def import_attribute(reference: str) -> Any:
    """What `reference`, such as `app.review:program`, stands for.

    Raises:
        ProgramError: no such module or attribute, or importing failed.
    """
    module_name, _, attribute = reference.partition(":")
    if "/" in module_name or module_name.endswith(".py"):
        dotted = module_name.removesuffix(".py").strip("./").replace("/", ".")
        raise ProgramError(f"{module_name!r} is a file: write its module, {dotted}:{attribute or 'program'}.")
    if not module_name or not attribute:
        raise ProgramError(
            f"{reference!r} is no import path: write package.module:attribute, such as app.review:program."
        )
    found: Any = _import(module_name)
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise ProgramError(f"{module_name} has no {attribute!r}.{_suggestion(found)}")
        found = getattr(found, name)
    return found


def code_hash(program: dspy.Module, reference: str | None = None) -> str | None:
    """A hash of the source files that hold `program`'s own classes and tools; None where there is no source.

    Blank lines, whole-line comments and trailing blanks do not count.
    """
    files = code_files(program, reference)
    return digest([[path.name, _significant(path)] for path in files]) if files else None


def code_files(program: dspy.Module, reference: str | None = None) -> list[Path]:
    """Return the source files that `code_hash` reads."""
    return sorted({file for module in _own_modules(program, reference) if (file := _source_file(module)) is not None})


def changed_code(program: dspy.Module, reference: str | None, recorded: str | None) -> str:
    """Return the files that hold the program's code if its hash is not the `recorded` one, else an empty text.

    Args:
        program: the live program.
        reference: its import path.
        recorded: the hash in the manifest; None where none was recorded, and nothing can be said.
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
    except (Exception, SystemExit) as error:  # a script that is imported may well exit
        raise ProgramError(f"importing {name} failed: {type(error).__name__}: {error}") from error


def _place(error: SyntaxError) -> str:
    """The file and line of an error, from the working directory where the file is below it."""
    path = Path(error.filename or "?")
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{shown} line {error.lineno}"


def _made(factory: Any, reference: str) -> Any:
    try:
        return factory()
    except (Exception, SystemExit) as error:
        raise ProgramError(
            f"{reference}() failed: {type(error).__name__}: {error}. It is called without arguments."
        ) from error


def _suggestion(module: Any) -> str:
    programs = sorted(name for name, value in vars(module).items() if isinstance(value, dspy.Module))
    return f" It has {', '.join(programs)}." if programs else ""


def _own_modules(program: dspy.Module, reference: str | None) -> Iterator[ModuleType]:
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
    in_texts = set(_lines_in_texts(text))  # a line of a prompt may begin with # or be blank
    lines = [line if number in in_texts else line.rstrip() for number, line in enumerate(text.split("\n"), 1)]
    return [
        line
        for number, line in enumerate(lines, 1)
        if number in in_texts or (line and not line.lstrip().startswith("#"))
    ]


def _lines_in_texts(source: str) -> Iterator[int]:
    """The numbers of the lines that texts of several lines span."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant | ast.JoinedStr) and node.end_lineno and node.end_lineno > node.lineno:
            yield from range(node.lineno, node.end_lineno + 1)
