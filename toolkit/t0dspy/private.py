"""Directories that we keep for ourselves: users' texts are in them, so they are for their owner's eyes only."""

from pathlib import Path


def own(directory: Path) -> None:
    """Make `directory` where it is missing; a new one is closed to others, and version control passes it over.

    Raises:
        OSError: the disk refuses.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not any(directory.iterdir()):  # in one with files, what to keep of them is its owner's to say
        (directory / ".gitignore").write_text("*\n", encoding="ascii")
