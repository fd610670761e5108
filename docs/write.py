"""Rewrite what the docs repeat from the code: each command's help, and the tree of errors. Run by `make docs`."""

import re
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


PAGES = {"commands.md": commands_page, "errors.md": errors_page}


def main() -> None:
    """Rewrite the pages."""
    for name, page in PAGES.items():
        path = DOCS / name
        path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
