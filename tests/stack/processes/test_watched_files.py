"""Changed files are noticed, also those that changed while the stack was starting; a reload is not made up."""

import asyncio
from pathlib import Path

import pytest

from t0dspy.stack.processes import programs
from t0dspy.stack.processes.watched_files import changes, read_stamps


def test_an_edit_before_the_watch_begins_is_noticed(tmp_path: Path) -> None:
    """The files are compared with what they were before the stack read them, and each change is reported once."""
    configs = tmp_path / "configs"
    configs.mkdir()
    code, config = tmp_path / "app.py", configs / "tensorzero.toml"
    code.write_text("first = 1\n")
    config.write_text("")

    async def watch() -> list[list[str]]:
        known = read_stamps(tmp_path, configs)
        code.write_text("the_second = 2\n")
        watching = changes(tmp_path, configs, known, every=0.01)
        reported = [await asyncio.wait_for(anext(watching), 20)]
        config.write_text("[gateway]\n")
        reported.append(await asyncio.wait_for(anext(watching), 20))
        await watching.aclose()  # type: ignore[attr-defined]
        return reported

    assert asyncio.run(watch()) == [[str(code)], [str(config)]]


def test_a_reload_that_is_not_reported_is_not_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program server that does not answer has no new code, as far as anybody knows."""
    monkeypatch.setattr(programs, "_PATIENCE", 0.3)
    asked: list[str] = []
    status = asyncio.run(programs.reload("http://127.0.0.1:9", lambda: asked.append("SIGHUP")))
    assert asked == ["SIGHUP"]
    assert status == {"reload_refused": "the program server did not report a reload within 0.3 s."}
