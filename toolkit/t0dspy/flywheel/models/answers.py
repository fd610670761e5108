"""Store the answers that models gave during a run as JSON lines, so that a resumed run does not pay for them again."""

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pydantic

from localkit import private
from localkit.json_shape import to_dataclass
from t0dspy.errors import OptimizeError
from t0dspy.flywheel.models.budget import Stop
from t0dspy.model import digest


@dataclass(frozen=True)
class Answer:
    """A model's answer and its token counts."""

    outputs: list[Any]
    """As `dspy.LM` returns them: texts, or objects with `text` and other keys."""
    model: str
    input_tokens: int
    output_tokens: int


class Answers:
    """A cache of answers in memory and, if it has a path, in a file that grows by one line per answer."""

    def __init__(self, path: Path | None = None) -> None:
        """Read the answers that the file at `path` holds; a last line that a kill cut off is ignored.

        Raises:
            OptimizeError: the file cannot be read or written.
        """
        self._known: dict[str, Answer] = {}
        self._lock = threading.Lock()
        self._file = None
        if path is None:
            return
        try:
            if path.exists():
                self._read(path)
            self._file = private.open_text(path, "a")
        except (OSError, UnicodeDecodeError) as error:
            raise OptimizeError(f"{path}: the answers of this run cannot be kept there ({error}).") from error

    def __deepcopy__(self, memo: dict[int, Any]) -> "Answers":
        return self

    def get(self, key: str) -> Answer | None:
        """Return the answer stored under `key`; None if there is none."""
        return self._known.get(key)

    def keep(self, key: str, answer: Answer) -> None:
        """Store `answer`; an answer that cannot be written as JSON is kept in memory only.

        Raises:
            Stop: the disk refuses the write. The run ends, because a resumed run would pay for a lost answer again.
        """
        with self._lock:
            self._known[key] = answer
            if self._file is None:
                return
            try:
                line = json.dumps({"key": key, **asdict(answer)}, ensure_ascii=True)
            except (TypeError, ValueError):
                return
            try:
                self._file.write(line + "\n")
                self._file.flush()
            except OSError as error:
                raise Stop(OptimizeError(f"the answers of this run cannot be kept: {error}.")) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; answers that come later are kept in memory only."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _read(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        whole = text.rpartition("\n")[0]
        for line in whole.split("\n"):
            try:
                value = json.loads(line)
                key = value.pop("key")
                self._known[key] = to_dataclass(Answer, value)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                continue  # a line with other keys, or a line that a crash of the machine left half written
        if len(whole) + 1 < len(text):
            os.truncate(path, len(whole.encode()) + 1 if whole else 0)


def request_key(model: str, prompt: Any, messages: Any, options: Mapping[str, Any]) -> str:
    """Return a hash of a request to a model, which ignores the address and the key that it is sent with."""
    hidden = {"api_key", "api_base", "base_url", "cache", "num_retries", "timeout", "headers", "extra_headers"}
    settings = {
        name: _plain(value) for name, value in sorted(options.items()) if name not in hidden and value is not None
    }
    return digest([model, prompt, _plain(messages), settings])


def _plain(value: Any) -> Any:
    if isinstance(value, type) and issubclass(value, pydantic.BaseModel):
        return value.model_json_schema()
    return json.loads(json.dumps(value, default=str, sort_keys=True))
