"""No web page reaches a port of the stack, except those that a flag names."""

import asyncio
import json
import subprocess
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse

from localkit.errors import HostError
from localkit.web_pages import NONE_ALLOWED, Allowed, WebPageGuard, refuse_web_page
from support.stack import COMMAND, HELLO, Stack, bare_environment
from t0dspy.testing import ScriptedUpstream

OWN_HOSTS = [
    "127.0.0.1",
    "127.0.0.1:3000",
    "LOCALHOST:3000",
    "localhost.",
    "app.localhost:80",
    "127.8.9.10:1",
    "[::1]",
    "[::1]:3000",
    "[::ffff:127.0.0.1]:3000",
]
FOREIGN_HOSTS = [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.nip.io",
    "127.0.0.1.evil.example:3000",
    "evil.example:3000",
    "2130706433",
    "2130706433:3000",
    "0x7f000001",
    "017700000001",
    "127.1",
    "0.0.0.0:3000",
    "[::]:3000",
    "10.0.0.7",
    "[2001:db8::1]:3000",
    "127.0.0.1@evil.example",
    "evil.example@127.0.0.1",
    "user:pw@127.0.0.1:3000",
    "evil.example#127.0.0.1",
    "evil.example/127.0.0.1",
    "evil.example\\127.0.0.1",
    "127.0.0.1, evil.example",
    "127.0.0.1 evil.example",
    "localhost..",
    "localhost:3000:80",
    "localhost:x",
    "[::1",
    "[evil]",
    "notlocalhost",
    "localhost\u00e4",
    "",
    ".",
]
FOREIGN_ORIGINS = [
    "null",
    "NULL",
    "",
    "http://evil.example",
    "https://127.0.0.1:3000",  # the server speaks HTTP
    "http://127.0.0.1",  # another port is another page
    "http://127.0.0.1:3001",
    "http://localhost:3000",  # another name is another page
    "http://127.0.0.1:3000.evil.example",
    "http://127.0.0.1:3000@evil.example",
    "http://127.0.0.1:3000/",
    "http://127.0.0.1:3000 http://evil.example",
    "127.0.0.1:3000",
    "file://",
    "chrome-extension://abcdefghijklmnop",
]
FOREIGN_SITES = [
    "cross-site",
    "same-site",
    "Cross-Site",
    " SAME-SITE ",
    "none, cross-site",
    "",
    "new-value",
    "same-origin,",
]


def refused(*headers: tuple[str, str], allowed: Allowed = NONE_ALLOWED, local_only: bool = True) -> str | None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return refuse_web_page(raw, allowed, local_only=local_only)


@pytest.mark.parametrize("host", OWN_HOSTS)
def test_this_machine_by_any_of_its_names(host: str) -> None:
    """A program on this machine is served, and so is a page of the server's own."""
    assert refused(("host", host)) is None
    assert refused(("host", host), ("sec-fetch-site", "none")) is None
    assert refused(("host", host), ("origin", f"http://{host}"), ("sec-fetch-site", "Same-Origin")) is None


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_foreign_host_is_refused(host: str) -> None:
    """After DNS rebinding the Host is the attacker's, whatever it looks like."""
    reason = refused(("Host", host), ("sec-fetch-site", "same-origin"))
    assert reason is not None
    assert "Host" in reason
    assert refused(("host", "127.0.0.1"), ("host", host)), "a second Host"


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_a_foreign_origin_is_refused(origin: str) -> None:
    """An Origin that is not the server's own is a page of somebody else's."""
    own = ("host", "127.0.0.1:3000")
    assert refused(own, ("origin", origin))
    assert refused(own, ("oRIGIN", "http://127.0.0.1:3000"), ("ORIGIN", origin), ("sec-fetch-site", "none"))


@pytest.mark.parametrize("site", FOREIGN_SITES)
def test_a_foreign_site_is_refused(site: str) -> None:
    """Only `none` and `same-origin` are not other pages; an unknown value is one."""
    own = ("host", "127.0.0.1:3000")
    assert "Sec-Fetch-Site" in (refused(own, ("Sec-Fetch-Site", site)) or "")
    assert refused(own, ("sec-fetch-site", "none"), ("sec-fetch-site", site)), "a second value"
    assert refused(own, ("origin", "http://127.0.0.1:3000"), ("sec-fetch-site", site)), "with the server's own Origin"


def test_the_reason_names_header_value_and_flag() -> None:
    """Whoever meets the refusal knows what to do, and no value of theirs is more than text."""
    reason = refused(("host", "t0dspy.example.com:80"))
    assert reason
    assert "Host is 't0dspy.example.com:80'" in reason
    assert "--allow-host t0dspy.example.com" in reason
    reason = refused(("origin", "HTTP://Front.Example:5173"))
    assert reason
    assert "--allow-origin http://front.example:5173" in reason
    hostile = refused(("origin", "\n\u00e9" + "x" * 10_000))
    assert hostile
    assert hostile.isascii()
    assert hostile.isprintable()
    assert len(hostile) < 400


@pytest.mark.parametrize("host", ["gateway:3000", "clickhouse", "my_service", "192.168.1.5:3000", "[fe80::1]:3000"])
def test_an_open_port_is_called_by_services_and_addresses(host: str) -> None:
    """With `--host 0.0.0.0`, containers call each other by service names; rebinding needs a name with a dot."""
    assert refused(("host", host)), "not on a loopback port"
    assert refused(("host", host), local_only=False) is None
    assert refused(("host", host), ("origin", "http://evil.example"), local_only=False)
    assert refused(("host", host), ("sec-fetch-site", "same-site"), local_only=False)


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.nip.io", "2130706433", "0.0.0.0", "a@b", "gateway.evil.example"]
)
def test_an_open_port_is_still_no_host_of_others(host: str) -> None:
    """A name with a dot may be an attacker's, so a flag has to name it."""
    assert refused(("host", host), local_only=False)


def test_allowed_hosts_and_origins() -> None:
    """What the flags name is served, in any spelling, and nothing else is."""
    allowed = Allowed.parse(["T0dspy.Example.com.", "10.0.0.7"], ["HTTP://LocalHost:5173", "https://a.example:443"])
    assert Allowed.parse(*_values(allowed.flags())) == allowed, "flags say the same"
    assert refused(("host", "t0dspy.example.com:8443"), allowed=allowed) is None
    assert refused(("host", "10.0.0.7:1"), allowed=allowed) is None
    assert refused(("host", "x.t0dspy.example.com"), allowed=allowed)
    own = ("host", "127.0.0.1:3000")
    for origin in ("http://localhost:5173", "https://A.example"):
        assert refused(own, ("origin", origin), ("sec-fetch-site", "cross-site"), allowed=allowed) is None
    for origin in ("http://localhost:5174", "https://localhost:5173", "http://a.example", "null"):
        assert refused(own, ("origin", origin), allowed=allowed)
    assert refused(own, ("sec-fetch-site", "cross-site"), allowed=allowed), "an image has no Origin"


def test_the_name_that_a_server_listens_on_is_its_own() -> None:
    """`--host t0dspy.internal.example` needs no second flag; an address says nothing about names."""
    named = Allowed.parse([], [], "T0dspy.internal.example")
    assert refused(("host", "t0dspy.internal.example:3000"), allowed=named, local_only=False) is None
    for address in ("0.0.0.0", "::", "127.0.0.1", "192.168.1.5", ""):
        assert Allowed.parse([], [], address) == NONE_ALLOWED


def _values(flags: list[str]) -> tuple[list[str], list[str]]:
    values = [flag.split("=", 1) for flag in flags]
    hosts, origins = ([value for name, value in values if name == flag] for flag in ("--allow-host", "--allow-origin"))
    return hosts, origins


@pytest.mark.parametrize("host", ["*", "*.example.com", "http://a.example", "a.example:80", "a/b", "", " ", "a b", "ä"])
def test_a_host_flag_is_a_host(host: str) -> None:
    """Wildcards, URLs and ports are refused in one sentence that shows what to write."""
    with pytest.raises(HostError, match=r"--allow-host .* is not a host.*t0dspy\.example\.com"):
        Allowed.parse([host], [])


@pytest.mark.parametrize(
    "origin", ["*", "null", "localhost:5173", "http://a.example/", "http://a/b", "http://*", "", "http://"]
)
def test_an_origin_flag_is_an_origin(origin: str) -> None:
    """Wildcards, paths and bare hosts are refused in one sentence that shows what to write."""
    with pytest.raises(HostError, match=r"--allow-origin .* is not an origin.*http://localhost:5173"):
        Allowed.parse([], [origin])


@given(st.text(alphabet=st.characters(max_codepoint=255)), st.text(alphabet=st.characters(max_codepoint=255)))
def test_any_bytes_get_a_decision(host: str, origin: str) -> None:
    """No header breaks the check, and only the documented names pass it."""
    if refused(("host", host)) is None:
        name = host.strip().lower().rpartition(":")[0] or host.strip().lower()
        assert "localhost" in name or name.startswith(("127.", "[")), host
    assert refused(("host", "127.0.0.1:3000"), ("origin", origin)) or origin.strip().lower() == "http://127.0.0.1:3000"


def _guarded(allowed: Allowed) -> WebPageGuard:
    return WebPageGuard(
        PlainTextResponse("secret"), allowed, local_only=True, refusal=lambda reason: PlainTextResponse(reason, 403)
    )


def _ask(app: WebPageGuard, method: str, **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:3000") as http:
            return await http.request(method, "/", headers={name.replace("_", "-"): headers[name] for name in headers})

    return asyncio.run(ask())


def test_an_allowed_page_gets_cors_answers() -> None:
    """A preflight and the request after it name that page alone, without credentials."""
    app, page = _guarded(Allowed.parse([], ["http://localhost:5173"])), "http://localhost:5173"
    asks = {"access_control_request_method": "POST", "access_control_request_headers": "authorization,content-type"}
    preflight = _ask(app, "OPTIONS", origin=page, sec_fetch_site="same-site", **asks)
    assert preflight.status_code == 200
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-allow-headers"] == asks["access_control_request_headers"]
    answer = _ask(app, "POST", origin=page, sec_fetch_site="same-site")
    assert answer.text == "secret"
    for said in (preflight, answer):
        assert said.headers["access-control-allow-origin"] == page
        assert "Origin" in said.headers["vary"]
        assert "access-control-allow-credentials" not in said.headers
    for foreign in ("http://localhost:5174", "null"):
        for said in (_ask(app, "OPTIONS", origin=foreign, **asks), _ask(app, "GET", origin=foreign)):
            assert said.status_code == 403
            assert "access-control-allow-origin" not in said.headers


def test_websockets_are_requests_too() -> None:
    """A page opens no WebSocket."""
    sent = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message["type"])

    scope = {"type": "websocket", "headers": [(b"host", b"127.0.0.1"), (b"origin", b"http://evil.example")]}
    asyncio.run(_guarded(NONE_ALLOWED)(scope, lambda: asyncio.sleep(0, {"type": "websocket.connect"}), send))
    assert sent == ["websocket.close"]


PAGES = [
    {"host": "evil.example"},
    {"host": "localhost.evil.example:3000"},
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "Cross-Site"},
]
ROUTES = {
    "clickhouse": ["/", "/ping", "/replicas_status", "/?query=SELECT+1", "/chdb_http/row-events", "/none"],
    "gateway": ["/inference", "/feedback", "/status", "/health", "/v1/inferences/list_inferences", "/none"],
    "programs": ["/v1/chat/completions", "/live", "/ready", "/none"],
}


def test_no_page_reaches_any_route_by_any_method(stack: Stack, scripted: ScriptedUpstream) -> None:
    """Every port refuses it on every route, with the reason, before anything happens."""
    list_all = {"function_name": "qa", "output_source": "inference"}
    stack.infer()
    before = stack.stored("JsonInference")
    scripted.requests.clear()
    with httpx.Client(trust_env=False, timeout=30) as http:
        for part, paths in ROUTES.items():
            for path in paths:
                for page in PAGES:
                    for method in ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE"):
                        body = list_all if "list" in path else {"function_name": "qa", "input": HELLO}
                        said = http.request(method, stack.urls[part] + path, headers=page, json=body)
                        assert said.status_code == 403, (part, path, page, method, said.status_code)
                        assert method == "HEAD" or "Refused because" in said.text
        refusal = http.get(stack.urls["gateway"] + "/status", headers=PAGES[0])
        assert refusal.json()["error"].endswith("(start with --allow-host evil.example if that name is yours).")
        refusal = http.get(stack.urls["clickhouse"] + "/?query=SELECT+1", headers=PAGES[0])
        assert refusal.headers["x-clickhouse-exception-code"] == "291"
        refusal = http.get(stack.urls["programs"] + "/live", headers=PAGES[0])
        assert refusal.json()["error"]["type"] == "web_page"
    assert scripted.requests == []
    assert stack.stored("JsonInference") == before


def test_flags_reach_every_port(make_stack: Callable[..., Stack]) -> None:
    """`up --allow-origin` and `--allow-host` hold on all ports."""
    page = "http://localhost:5173"
    with make_stack(f"--allow-origin={page}", "--allow-host=proxy.example").start() as running:
        for part, path in (("clickhouse", "/ping"), ("gateway", "/status"), ("programs", "/live")):
            headers = {"origin": page, "host": "proxy.example", "sec-fetch-site": "cross-site"}
            answer = httpx.get(running.urls[part] + path, headers=headers, trust_env=False)
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == page
        answer = running.post("/inference", {"function_name": "qa", "input": HELLO}, headers={"origin": page})
        assert json.loads(answer.text)["output"]["parsed"]
        assert running.stop() == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["up", "--allow-origin=*"],
        ["up", "--allow-host=*"],
        ["serve", "--allow-origin=http://a/b"],
        ["serve", "--allow-host=a:1"],
    ],
)
def test_a_wrong_flag_is_one_sentence(arguments: list[str], project: Path) -> None:
    """It stops the command before anything starts."""
    said = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, env=bare_environment(), check=False)
    assert said.returncode == 1
    assert said.stderr.startswith("t0dspy: --allow-")
    assert said.stderr.count("\n") == 1
