"""Select the variables of the user's environment that a part of the stack needs."""

import re
from collections.abc import Iterable, Mapping

from t0dspy.readiness.keys import PROVIDER_KEYS

_NAMED = re.compile(r"env::([A-Za-z_][A-Za-z0-9_]*)")

_PROCESS = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_\w+|LOCALE_ARCHIVE|TZ|TZDIR|TMPDIR|PYTHON\w*|LD_LIBRARY_PATH"
    r"|DYLD_\w*LIBRARY_PATH|VIRTUAL_ENV|COVERAGE_\w+|COV_CORE_\w+"
)
"""The variables that any Python process needs."""

_MEASURING = re.compile("COV(ERAGE|_CORE)_")
"""Coverage's variables. The confined ClickHouse process cannot write coverage data, so it would fail at its end."""

_CLICKHOUSE = re.compile(r"CLICKHOUSE_(USER|PASSWORD)|T0DSPY_CLICKHOUSE_\w+")

_GATEWAY = re.compile(
    r"RUST_\w+|TENSORZERO_\w+|T0DSPY_PROGRAMS_KEY|OTEL_\w+|SSL_CERT_(FILE|DIR)"
    r"|(HTTP|HTTPS|ALL|NO)_PROXY|(http|https|all|no)_proxy"
    # credentials of providers' SDKs
    r"|AWS_\w+|S3_(ACCESS_KEY_ID|SECRET_ACCESS_KEY)|GOOGLE_\w+|GCP_\w+|GCLOUD_\w+|CLOUDSDK_\w+|AZURE_\w+"
    r"|IDENTITY_(ENDPOINT|HEADER)|MSI_(ENDPOINT|SECRET)"
)

_PROVIDERS = {*PROVIDER_KEYS.values(), "SGLANG_API_KEY", "TGI_API_KEY", "VLLM_API_KEY"}
"""The default `api_key_location` of each provider type of TensorZero 2026.6.0.

A request may name a model of any of them (`openai::...`), so these do not depend on the config.
"""


def clickhouse_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the embedded ClickHouse, without variables of providers and of the user's programs."""
    patterns = (_PROCESS, _CLICKHOUSE)
    return {
        name: value
        for name, value in environ.items()
        if any(pattern.fullmatch(name) for pattern in patterns) and not _MEASURING.match(name)
    }


def gateway_environment(environ: Mapping[str, str], configs: Iterable[str]) -> dict[str, str]:
    """Return the environment of the gateway.

    Args:
        environ: the user's environment.
        configs: the texts of the config's TOML files, which name variables as `env::NAME` and `path_from_env::NAME`.
    """
    named = {name for text in configs for name in _NAMED.findall(text)}
    return {
        name: value
        for name, value in environ.items()
        if name in named | _PROVIDERS or _PROCESS.fullmatch(name) or _GATEWAY.fullmatch(name)
    }
