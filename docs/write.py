"""Rewrite what the docs repeat from the code: help, the tree of errors, layers, workarounds. Run by `make docs`."""

import ast
import re
import tomllib
from itertools import chain, takewhile
from pathlib import Path

from typer.main import get_command

from t0dspy import errors
from t0dspy.cli import app

DOCS = Path(__file__).parent
WIDTH = 100


def commands() -> dict[str, str]:
    """Command line -> its help."""
    group = get_command(app)
    top = group.context_class(group, info_name="t0dspy", terminal_width=WIDTH, **group.context_settings)
    pages = {"t0dspy": group.get_help(top)}
    for name, command in sorted(group.commands.items()):
        pages[f"t0dspy {name}"] = command.get_help(command.context_class(command, info_name=name, parent=top))
    return pages


def commands_page(text: str) -> str:
    """`commands.md`: its introduction, then every command."""
    lead = text.partition("\n## ")[0].rstrip()
    blocks = [f"## `{line}`\n\n```text\n{help_.rstrip()}\n```\n" for line, help_ in commands().items()]
    return "\n\n".join([lead, "\n".join(blocks)])


def errors_page(text: str) -> str:
    """`errors.md` with the tree of errors as `errors.py` draws it."""
    drawn = (errors.__doc__ or "").split("\n\n")[1]
    tree = "\n".join(line.removeprefix("    ") for line in drawn.splitlines())
    return re.sub(r"(?<=```text\n).*?(?=```\n)", lambda _: f"{tree}\n", text, count=1, flags=re.DOTALL)


def layers() -> dict[str, tuple[str, list[list[str]]]]:
    """Column head of a table in `architecture.md` -> its container, and its layers of modules, the lowest first."""
    config = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    found = {}
    for contract in config["tool"]["importlinter"]["contracts"]:
        if contract["type"] == "layers":
            (container,) = contract.get("containers", [""])
            modules = [re.split(r" [|:] ", layer) for layer in reversed(contract["layers"])]
            found[f"In `{container}`" if container else "Package"] = container, modules
    return found


def architecture_page(text: str) -> str:
    """`architecture.md` with the layers of `pyproject.toml`; each module keeps the sentence that it has on the page."""
    for column, (container, modules) in layers().items():
        head = f"| Layer | {column} | May import | What it holds |\n|---:|---|---|---|\n"
        before, _, rest = text.partition(head)
        after = re.sub(r"\A(\|.*\n)*", "", rest)
        sentences = dict(re.findall(r"^\|[^|]*\| `(\w+)` \|[^|]*\| (.*) \|$", rest.removesuffix(after), re.MULTILINE))
        sentences = {name: _first_line(container, name) for name in chain(*modules)} | sentences
        rows = [
            f"| {number} | `{name}` | {_layers_below(number)} | {sentences[name]} |\n"
            for number, names in reversed(list(enumerate(modules, 1)))
            for name in names
        ]
        text = before + head + "".join(rows) + after
    return text


def _layers_below(number: int) -> str:
    return {1: "none of these", 2: "layer 1", 3: "layers 1 and 2"}.get(number, f"layers 1 to {number - 1}")


def _first_line(container: str, name: str) -> str:
    path = DOCS.parent.joinpath("toolkit", *filter(None, container.split(".")), name)
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return (ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").partition("\n")[0]


_WORKAROUND = re.compile(r"Workaround \((.+?)\): (.+?); remove when (.+?)\.(?: See ([\w./-]+)#(\d+)\.)?")


def workarounds() -> list[tuple[str, str]]:
    """Each workaround in the code: the file, below `toolkit`, and the text of the comment."""
    toolkit, found = DOCS.parent / "toolkit", []
    for path in sorted(toolkit.rglob("*.py")):
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        for index, line in enumerate(lines):
            if line.startswith("# Workaround"):
                comment = takewhile(lambda line: line.startswith("# "), lines[index:])
                found.append((path.relative_to(toolkit).as_posix(), " ".join(line[2:] for line in comment)))
    return found


def workarounds_page(text: str) -> str:
    """`internals/workarounds.md`: its introduction, then every workaround, by the software that it works around."""
    sections: dict[str, str] = {}
    for path, comment in workarounds():
        match = _WORKAROUND.fullmatch(comment)
        if match is None:
            raise ValueError(f"{path}: {comment!r} is not `Workaround (SOFTWARE VERSION): reason; remove when ....`")
        software, reason, end, repository, number = match.groups()
        issue = f"[{repository}#{number}](https://github.com/{repository}/issues/{number})" if number else ""
        head = f"\n## {software}\n\n| File | Reason | Remove when | Issue |\n|---|---|---|---|\n"
        sections.setdefault(software, head)
        sections[software] += f"| `{path}` | {reason} | {end} | {issue} |\n"
    return text.partition("\n## ")[0].rstrip() + "\n" + "".join(sections[name] for name in sorted(sections))


PAGES = {
    "architecture.md": architecture_page,
    "commands.md": commands_page,
    "errors.md": errors_page,
    "internals/workarounds.md": workarounds_page,
}


def main() -> None:
    """Rewrite the pages."""
    for name, page in PAGES.items():
        path = DOCS / name
        path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
