"""Check that the gateway can take the images, sounds and files that kept predictors send."""

from pathlib import Path

from t0dspy.artifact.user_config import section
from t0dspy.errors import CompileError
from t0dspy.model import CompiledProgram


# Workaround (tensorzero 2026.6): without this table, the gateway answers 500 to every message with an image or file;
# remove when it passes them on.
def check_storage(compiled: CompiledProgram, configs: Path) -> None:
    """Check that the config has `[object_storage]` if the program sends images, sounds or files.

    Raises:
        CompileError: it has none; the message has the lines to add.
    """
    senders = [predictor.path for predictor in compiled.predictors if predictor.sends_files]
    if senders and section(configs, "object_storage") is None:
        raise CompileError.because(
            senders[0],
            "sends images, sounds or files, which the gateway refuses without a table [object_storage].",
            f"Add these lines to {configs / 'tensorzero.toml'}; nothing is stored:\n\n"
            '    [object_storage]\n    type = "disabled"\n',
        )
