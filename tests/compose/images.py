"""The images of the test, made where no registry can be reached."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PINNED = b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
BASE = f"t0dspy-test-base:{hashlib.sha256(PINNED).hexdigest()[:12]}"  # another one for other dependencies
IMAGE = "t0dspy:test"
DEBIAN = "bookworm"
PACKAGES = "python3,python3-venv,ca-certificates"


class Skip(Exception):
    """Nothing is wrong, but here it cannot be done."""


def docker(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], text=True, capture_output=True, check=False, **options)


def build() -> None:
    """`t0dspy:test`, from this checkout, on a base that has the wheels of everything it needs."""
    if docker("image", "inspect", BASE).returncode != 0:
        with tempfile.TemporaryDirectory() as scratch:
            _build_base(Path(scratch))
    done = docker("build", "--build-arg", f"BASE_IMAGE={BASE}", "-t", IMAGE, str(ROOT))
    if done.returncode != 0:
        raise SystemExit(f"docker build failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


def _build_base(scratch: Path) -> None:
    """The base with a directory of wheels, which pip in it takes instead of an index."""
    python = _python_image(scratch)
    version = docker("run", "--rm", "--entrypoint", "python3", python, "-c", "import sys; print(*sys.version_info[:2])")
    context = scratch / "context"
    (context / "wheels").mkdir(parents=True)
    _download(context / "wheels", ".".join(version.stdout.split()))
    (context / "pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    (context / "Dockerfile").write_text(f"FROM {python}\nCOPY wheels /wheels\nCOPY pip.conf /etc/pip.conf\n")
    done = docker("build", "-t", BASE, str(context))
    if done.returncode != 0:
        raise SystemExit(f"the base image cannot be built:\n{done.stderr[-4000:]}")


def _download(wheels: Path, version: str) -> None:
    """With this machine's pip and its settings, whatever index those name."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    foreign = [] if version == own else ["--python-version", version, "--only-binary=:all:"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(wheels)]
    wanted = [f"{ROOT}[embedded,retrain]", "hatchling>=1.25"]
    if foreign:  # pip downloads for another Python only what is not a directory
        wanted = [*_requirements(), "hatchling>=1.25"]
    command += [*foreign, "-c", str(ROOT / "constraints.txt"), *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the wheels cannot be had:\n{done.stderr[-4000:]}")


def _requirements() -> list[str]:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *extras["embedded"], *extras["retrain"]]


def _python_image(scratch: Path) -> str:
    """An image with Python: the one that `T0DSPY_BASE_IMAGE` names, else a small Debian made here."""
    given = os.environ.get("T0DSPY_BASE_IMAGE")
    if given:
        return given
    if docker("pull", "python:3.12-slim", timeout=120).returncode == 0:
        return "python:3.12-slim"
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        raise Skip("no image with Python can be pulled, and without root and debootstrap none can be made")
    rootfs = scratch / "rootfs"
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", DEBIAN, str(rootfs)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise Skip(f"debootstrap cannot make an image here: {made.stdout.strip().splitlines()[-1:]}")
    with subprocess.Popen(["tar", "-C", str(rootfs), "-c", "."], stdout=subprocess.PIPE) as tar:
        docker("import", "-", "t0dspy-test-debian", stdin=tar.stdout)
    return "t0dspy-test-debian"
