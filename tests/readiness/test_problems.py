"""Which programs cannot run although the stack does, and why."""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path

import dspy
import pytest

import t0dspy
from t0dspy.cli.up import with_exceptions
from t0dspy.errors import GatewayError
from t0dspy.gateway import embedded_gateway
from t0dspy.readiness.keys import PROVIDER_KEYS, configured_locations, missing_key
from t0dspy.readiness.problems import Problems, ServerStatus, as_server_status, find_problems
from t0dspy.stack.processes.watched_files import changes, read_stamps

MODEL = "projects/p/locations/l/publishers/google/models/m"  # Vertex wants such a name, and others take any
VARIANT = '[functions.{0}]\ntype = "chat"\n[functions.{0}.variants.v1]\ntype = "chat_completion"\nmodel = "{0}::{1}"\n'


def test_the_gateway_asks_for_the_keys_in_our_table(tmp_path: Path) -> None:
    """Each provider of shorthand models names the variable that we would name."""
    text = "".join(VARIANT.format(provider, MODEL) for provider in PROVIDER_KEYS)
    (tmp_path / "t.toml").write_text(text)
    with embedded_gateway(tmp_path) as gateway:
        for provider, variable in PROVIDER_KEYS.items():
            with pytest.raises(GatewayError, match=f"`{variable}`.* is missing"):
                gateway.infer(provider, [{"role": "user", "content": "x"}])


LOCATIONS = {"groq": "env::MINE", "xai": "dynamic::key", "mistral": "none", "together": "path_from_env::FILE"}


@pytest.mark.parametrize(
    ("model", "environment", "missing"),
    [
        ("openai::gpt-4o-mini", {}, "OPENAI_API_KEY"),
        ("openai::gpt-4o-mini", {"OPENAI_API_KEY": ""}, "OPENAI_API_KEY"),
        ("openai::gpt-4o-mini", {"OPENAI_API_KEY": "k"}, None),
        ("main", {}, None),
        ("unheard_of::m", {}, None),
        ("groq::m", {"GROQ_API_KEY": "k"}, "MINE"),
        ("xai::m", {}, None),
        ("mistral::m", {}, None),
        ("together::m", {}, "FILE"),
    ],
)
def test_missing_keys(model: str, environment: Mapping[str, str], missing: str | None) -> None:
    """The provider's own variable, unless the config names another place."""
    assert missing_key(model, LOCATIONS, environment) == missing


def test_locations_come_from_the_config(tmp_path: Path) -> None:
    """Defaults of a provider type; what is not TOML, or of another shape, is the gateway's to report."""
    (tmp_path / "a.toml").write_text('[provider_types.openai.defaults]\napi_key_location = "env::MY_KEY"\n')
    (tmp_path / "b.toml").write_text(
        '[provider_types.groq.defaults.api_key_location]\ndefault = "env::A"\nfallback = "none"\n'
    )
    (tmp_path / "c.toml").write_text("not toml [")
    (tmp_path / "d.toml").write_text('provider_types = "x"\n')
    (tmp_path / "e.toml").write_text('[provider_types.xai]\ndefaults = "x"\n')
    assert configured_locations(tmp_path) == {"openai": "env::MY_KEY", "groq": "none"}


@pytest.fixture
def two_programs(project: Path) -> Path:
    """`ask` in two versions, both with traffic, and `tell` in one."""
    for options in ({}, {"temperature": 0.5}):
        program = dspy.Predict("question -> answer", **options)
        t0dspy.export(program, "configs", name="ask", model="openai::m", verify=False, traffic=0.5 if options else None)
    t0dspy.export(dspy.Predict("fact -> story"), "configs", name="tell", model="groq::m", verify=False)
    return Path("configs")


def test_one_reason_is_one_line_for_the_program(two_programs: Path) -> None:
    """Keys of all models are looked at, and versions without traffic are not."""
    found = find_problems(two_programs, {"GROQ_API_KEY": "k"}, ServerStatus())
    assert found.cannot_run == {"ask": "OPENAI_API_KEY is not set, which openai::m needs"}
    assert find_problems(two_programs, None, ServerStatus()) == Problems()
    refused = ServerStatus(refused={"ask/v2": "why", "tell/v1": "SyntaxError in app/program.py line 12: invalid"})
    found = find_problems(two_programs, None, refused)
    assert found.cannot_run == {"ask v2": "why", "tell": "SyntaxError in app/program.py line 12: invalid"}
    (two_programs / "programs/ask/v1/variant.toml").unlink()
    (two_programs / "programs/tell/manifest.json").write_text("{")
    found = find_problems(two_programs, None, ServerStatus())
    assert found.cannot_run["ask v1"] == "v1/variant.toml is missing"
    assert "not a manifest" in found.cannot_run["tell"]


def test_changed_code_is_a_warning_for_versions_with_traffic(two_programs: Path) -> None:
    """It names the version and the files."""
    server = ServerStatus(changed={"ask/v1": "app/program.py", "tell/v7": "app/tell.py"})
    (warning,) = find_problems(two_programs, None, server).warnings
    assert warning.startswith("ask v1 runs code that is not what it was exported with: app/program.py changed since.")


def test_the_servers_answer_is_read_with_care() -> None:
    """Another program at the port, or a server that is not up."""
    for answer in (None, [], {}, {"programs": []}):
        assert as_server_status(answer) == ServerStatus(known=False)
    answer = {
        "programs": {"a/v1": {"cannot_run": "why", "code_changed": ""}, "a/v2": "?", "a/v3": {"code_changed": "x"}}
    }
    assert as_server_status(answer) == ServerStatus(refused={"a/v1": "why"}, changed={"a/v3": "x"})


def test_exceptions_stand_behind_the_event() -> None:
    """One on the line, several below it."""
    assert with_exceptions("ready", Problems()) == "ready"
    assert with_exceptions("ready", Problems({"support": "why."})) == "ready, except support: why"
    several = with_exceptions("reloaded", Problems({"a": "why", "b v2": "so"}))
    assert several == "reloaded, except\n  a: why\n  b v2: so"


def test_changes_come_once_they_are_over(tmp_path: Path) -> None:
    """Several files in a row are one change; hidden ones, virtual environments and manifests are none."""
    project, configs = tmp_path / "project", tmp_path / "configs"
    for place in (project / "app", project / ".t0dspy", project / "venv", configs / "programs/ask"):
        place.mkdir(parents=True)
    (project / "venv/pyvenv.cfg").touch()

    async def watched() -> list[list[str]]:
        stream = changes(project, configs, read_stamps(project, configs), every=0.02)
        first = asyncio.ensure_future(anext(stream))
        for path in (project / ".t0dspy/a.py", project / "venv/b.py", configs / "programs/ask/manifest.json"):
            path.write_text("x")
        (project / "data.json").write_text(json.dumps({}))
        (project / "app/program.py").write_text("x")
        (configs / "programs/ask/user.minijinja").write_text("x")
        found = [await asyncio.wait_for(first, 10)]
        os.unlink(project / "app/program.py")
        return [*found, await asyncio.wait_for(anext(stream), 10)]

    app, template = str(project / "app/program.py"), str(configs / "programs/ask/user.minijinja")
    found = asyncio.run(watched())
    assert sorted({path for change in found for path in change}) == sorted([app, template])
    assert found[-1] == [app]
