"""Addresses of this run: only those strings change, and nothing of the user's."""

import asyncio
from pathlib import Path

import pytest
from tensorzero import AsyncTensorZeroGateway

from support.stack import ANSWER, HELLO, write_config
from t0dspy.errors import SettingsError
from t0dspy.stack.gateway.addresses import configured_addresses, parse_address, resolve
from t0dspy.testing import ScriptedUpstream


def test_only_the_address_changes(tmp_path: Path) -> None:
    """In the likeness the TOML is the user's, comments and all, but for the host of that one model."""
    configs = write_config(tmp_path / "configs")
    file = configs / "tensorzero.toml"
    file.write_text("# mine\n" + file.read_text() + '\n[models.other.providers.p]\napi_base = "http://elsewhere/v1"\n')
    likeness = resolve(configs, {"upstream": "127.0.0.1:9"}, tmp_path / "scratch")
    expected = file.read_text().replace("http://upstream:1234/v1", "http://127.0.0.1:9/v1")
    assert (likeness / "tensorzero.toml").read_text() == expected
    assert (likeness / "qa").readlink() == configs / "qa"
    assert not (likeness / "tensorzero.toml").is_symlink()


def test_a_config_without_such_names_is_loaded_where_it_is(tmp_path: Path) -> None:
    """Nothing to map, nothing to copy; an old likeness is cleared away."""
    configs, scratch = write_config(tmp_path / "configs"), tmp_path / "scratch"
    assert resolve(configs, {"upstream": "127.0.0.1:9"}, scratch) != configs
    assert resolve(configs, {"programs": "127.0.0.1:9"}, scratch) == configs
    assert not scratch.exists()


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://upstream:1234/v1", "http://127.0.0.1:9/v1"),
        ("http://upstream/v1?x=upstream#upstream", "http://127.0.0.1:9/v1?x=upstream#upstream"),
        ("https://user:pw@upstream/", "https://user:pw@127.0.0.1:9/"),
        ("http://UPSTREAM:1/", "http://127.0.0.1:9/"),
        ("http://upstream.example.com/v1", None),
        ("http://example.com/upstream", None),
        ("http://[bad/", None),
        ("upstream", None),
    ],
)
def test_hosts_are_matched_whole(tmp_path: Path, url: str, local: str | None) -> None:
    """A name is the whole host or nothing."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "a.toml").write_text(f'[models.m.providers.p]\napi_base = "{url}"\n')
    found = resolve(tmp_path / "configs", {"upstream": "127.0.0.1:9"}, tmp_path / "scratch") / "a.toml"
    assert found.read_text() == f'[models.m.providers.p]\napi_base = "{local or url}"\n'


def test_templates_beside_and_above_are_still_found(tmp_path: Path) -> None:
    """Relative paths work in the likeness: down, sideways, and up out of the configs; the real gateway loads it."""
    configs = write_config(tmp_path / "project" / "configs")
    (tmp_path / "project" / "shared").mkdir()
    (configs / "qa" / "out.json").rename(tmp_path / "project" / "shared" / "out.json")
    below = configs / "programs" / "deep"
    below.mkdir(parents=True)
    (below / "own.minijinja").write_text("Own JSON.")
    (below / "variant.toml").write_text(
        '[functions.qa.variants.v2]\ntype = "chat_completion"\nmodel = "m"\njson_mode = "on"\n'
        'templates.system.path = "own.minijinja"\n'
        '[functions.qa.variants.v3]\ntype = "chat_completion"\nmodel = "m"\njson_mode = "on"\n'
        'templates.system.path = "../../qa/system.minijinja"\n'
    )
    file = configs / "tensorzero.toml"
    text = file.read_text().replace("qa/out.json", "../shared/out.json").replace("enabled = true\n", "")
    file.write_text(text)

    async def systems(upstream: ScriptedUpstream) -> list[str]:
        address = upstream.url.removeprefix("http://").removesuffix("/v1")
        likeness = resolve(configs, {"upstream": address}, tmp_path / "scratch")
        gateway = await AsyncTensorZeroGateway.build_embedded(config_file=f"{likeness}/**/*.toml")  # type: ignore[misc]
        for variant in ("v1", "v2", "v3"):
            await gateway.inference(function_name="qa", input=HELLO, variant_name=variant)  # type: ignore[arg-type]
        return [request.body["messages"][0]["content"] for request in upstream.requests]

    with ScriptedUpstream(ANSWER) as upstream:
        assert asyncio.run(systems(upstream)) == ["Answer in JSON.", "Own JSON.", "Answer in JSON."]


def test_broken_toml_is_left_to_the_gateway(tmp_path: Path) -> None:
    """A file that is no TOML is passed on as it is, so that TensorZero says what is wrong."""
    configs = write_config(tmp_path / "configs")
    (configs / "broken.toml").write_text("[models")
    likeness = resolve(configs, {"upstream": "127.0.0.1:9"}, tmp_path / "scratch")
    assert (likeness / "broken.toml").read_text() == "[models"


@pytest.mark.parametrize("value", ["", "localhost", ":80", "a:0", "a:99999", "http://a:80", "a:80/v1", 80, None])
def test_an_address_is_host_and_port(value: object) -> None:
    """Anything else is refused with the name, the value and an example."""
    with pytest.raises(SettingsError, match=r"'model'.*Write it as host:port"):
        parse_address("model", value)


def test_settings_are_read_from_either_file(tmp_path: Path) -> None:
    """t0dspy.toml or pyproject.toml; neither is fine; a broken one is said so."""
    assert configured_addresses(tmp_path) == {}
    (tmp_path / "pyproject.toml").write_text('[tool.t0dspy.stack.addresses]\nmodel = "127.0.0.1:1"\n')
    assert configured_addresses(tmp_path) == {"model": "127.0.0.1:1"}
    (tmp_path / "t0dspy.toml").write_text('[stack.addresses]\nmodel = "127.0.0.1:2"\n')
    assert configured_addresses(tmp_path) == {"model": "127.0.0.1:2"}
    (tmp_path / "t0dspy.toml").write_text("[stack")
    with pytest.raises(SettingsError, match=r"t0dspy\.toml cannot be read"):
        configured_addresses(tmp_path)
