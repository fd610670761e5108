"""The golden trees: what `t0dspy export` writes for each program of the corpus, byte for byte, and that it loads."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.corpus import CASES, EVERY_FORM, FORMS, PROGRAMS, Case, each_case, golden
from t0dspy.artifact.bundle import MANIFEST, ROLLOUT, read_tree
from t0dspy.model import PromptForm, digest

LOAD = """
import sys
from tensorzero import TensorZeroGateway
TensorZeroGateway.build_embedded(config_file=sys.argv[1], clickhouse_url=None).close()
"""

BASE = """
[gateway]
observability.enabled = false
"""

DEPRECATED = """
[functions.old]
type = "chat"

[functions.old.variants.only]
type = "chat_completion"
model = "openai::gpt-4o-mini"
weight = 1
"""

SOMEBODYS = """
[gateway]
observability.enabled = false
debug = true

[models.house]
routing = ["main", "spare"]

[models.house.providers.main]
type = "openai"
model_name = "gpt-4o-mini"

[models.house.providers.spare]
type = "anthropic"
model_name = "claude-3-5-haiku-20241022"

[functions.draft_email]
type = "chat"
schemas.user.path = "draft/user.json"
tools = ["find_address"]

[functions.draft_email.variants.v1]
type = "chat_completion"
model = "house"
templates.system.path = "draft/system.minijinja"
templates.user.path = "draft/user.minijinja"

[functions.draft_email.variants.v2]
type = "chat_completion"
model = "openai::gpt-4o-mini"
system_template = "draft/system.minijinja"
user_template = "draft/user.minijinja"
retries = { num_retries = 1, max_delay_s = 3 }

[functions.draft_email.experimentation]
type = "static"
candidate_variants = { v1 = 0.5, v2 = 0.5 }

[functions.pick_topic]
type = "json"
output_schema = "draft/topic.json"

[functions.pick_topic.variants.only]
type = "chat_completion"
model = "house"
json_mode = "strict"

[tools.find_address]
description = "Find a person's address"
parameters = "draft/address.json"

[metrics.user_liked_it]
type = "boolean"
level = "inference"
optimize = "max"

[metrics.minutes_saved]
type = "float"
level = "episode"
optimize = "max"
"""

OBJECT = '{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}'
SOMEBODYS_FILES = {
    "draft/system.minijinja": "You write short emails.",
    "draft/user.minijinja": "To {{ name }}.",
    "draft/user.json": OBJECT,
    "draft/topic.json": OBJECT,
    "draft/address.json": OBJECT,
}


@pytest.mark.parametrize("case", each_case())
def test_the_tree_is_the_golden_one(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The same program gives the same bytes, those that somebody has read."""
    files = golden(case.export(tmp_path))
    if request.config.getoption("--write-golden"):
        _write(case.expected, files)
    assert _read(case.expected) == {path: text.encode() for path, text in files.items()}


def test_the_manifest_records_every_generated_file(tmp_path: Path) -> None:
    """An edit by hand can be noticed in any file but rollout.toml, which is the user's."""
    files = CASES[0].export(tmp_path)
    generated = {path: digest(text) for path, text in files.items() if path not in (MANIFEST, ROLLOUT)}
    assert json.loads(files[MANIFEST])["files"] == generated


def test_every_program_and_form_has_a_golden_tree_and_nothing_else_does() -> None:
    """A program that is renamed or dropped leaves no tree behind."""
    assert {path.parent.name for path in PROGRAMS.glob("*/program.py")} == set(FORMS)
    assert {path.parent for path in PROGRAMS.glob(f"*/expected/*/{MANIFEST}")} == {case.expected for case in CASES}


@pytest.mark.parametrize("form", EVERY_FORM, ids=lambda form: f"{form.adapter}-{form.demos}")
def test_the_gateway_loads_the_trees_without_a_warning(form: PromptForm, tmp_path: Path) -> None:
    """Beside a hand-written tensorzero.toml, by the glob configs/**/*.toml, the gateway has nothing to say."""
    _copy_programs(form, tmp_path)
    (tmp_path / "tensorzero.toml").write_text(BASE)
    assert _log_of_loading(tmp_path) == ""


def test_the_gateway_loads_the_trees_beside_somebodys_own_config(tmp_path: Path) -> None:
    """Functions, variants, models, tools and metrics of a user's own stay as they are, and nothing warns."""
    (tmp_path / "tensorzero.toml").write_text(SOMEBODYS)
    (tmp_path / "draft").mkdir()
    for path, text in SOMEBODYS_FILES.items():
        (tmp_path / path).write_text(text)
    alone = _log_of_loading(tmp_path)
    _copy_programs(EVERY_FORM[0], tmp_path)
    assert _log_of_loading(tmp_path) == alone


def test_a_warning_of_the_gateway_would_be_seen(tmp_path: Path) -> None:
    """The two tests above listen at the right place."""
    (tmp_path / "tensorzero.toml").write_text(BASE + DEPRECATED)
    assert "WARN" in _log_of_loading(tmp_path)


def _copy_programs(form: PromptForm, configs: Path) -> None:
    for case in CASES:
        if case.form == form:
            shutil.copytree(case.expected, configs / "programs" / case.name)


def _log_of_loading(configs: Path) -> str:
    keys = {"OPENAI_API_KEY": "none", "ANTHROPIC_API_KEY": "none", "T0DSPY_PROGRAMS_KEY": "none"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, f"{configs}/**/*.toml"],
        env={**os.environ, **keys, "RUST_LOG": "warn", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "", done.stdout + done.stderr)


def _read(directory: Path) -> dict[str, bytes]:
    return {path: text.encode() for path, text in read_tree(directory).items()}


def _write(directory: Path, files: dict[str, str]) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    for path, text in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())
