"""Code under test can compute, and nothing else."""

import os
import socket
import sys
import time
from pathlib import Path

import pytest

from examples.spec_to_review import sandbox
from examples.spec_to_review.sandbox import Limits, run, same

POSIX = "import sys\np = sys.modules['posix']\n"
QUICK = Limits(cpu=1, wall=60.0)


def outcome(code: str, limits: Limits = QUICK) -> tuple[str | None, str]:
    """What `f()` gives, and why it gives nothing."""
    found = run(code, ["f()"], limits)
    return found.results[0], found.problems[0]


def test_results_come_back_as_literals_in_order() -> None:
    """One process for all calls; a call that fails says why and leaves the others alone."""
    found = run("def f(x):\n    return [x, str(x)]", ["f(1)", "f()", "g()", "f(None)"])
    assert found.results == ["[1, '1']", None, None, "[None, 'None']"]
    assert found.problems[1].startswith("TypeError")
    assert found.problems[2].startswith("NameError")


def test_a_grading_takes_well_under_a_second() -> None:
    """Starting the process is most of it: about 30 ms on a quiet machine."""
    start = time.process_time()
    run("def f(): return 1", ["f()"] * 50)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    "code",
    [
        "import math\ndef f(): return math.gcd(6, 4)",
        "from collections import Counter\ndef f(): return Counter('aab')['a']",
        "größe = 2\nclass Ä: pass\ndef f(): return größe",
        "import re, functools\ndef f(): return len(re.findall('a', 'aa'))",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\ndef f(): return A(2).x",
        "def f():\n    open('mine', 'w').write('2')\n    return int(open('mine').read())",
    ],
)
def test_honest_code_works(code: str) -> None:
    """Imports of the standard library that compute, and files of its own."""
    assert outcome(code) == ("2", "")


FORBIDDEN = {
    "fork": "import os\ndef f(): return os.fork()",
    "fork through modules": POSIX + "def f(): return p.fork()",
    "fork bomb": POSIX + "def f():\n    while True:\n        try: p.fork()\n        except Exception: raise",
    "a program": POSIX + "def f(): return p.posix_spawn('/bin/true', ['true'], {})",
    "exec": POSIX + "def f(): return p.execv('/bin/true', ['true'])",
    "a shell": POSIX + "def f(): return p.system('true')",
    "subprocess": "import subprocess\ndef f(): return subprocess.run(['true']).returncode",
    "socket": "import socket\ndef f(): return socket.socket().fileno()",
    "ctypes": "import sys\ndef f(): return sys.modules['ctypes'].CDLL(None).getpid()",
    "memory by ctypes": "import sys\ndef f(): return sys.modules['ctypes'].string_at(id(5), 8)",
    "signals": POSIX + "def f(): return p.kill(p.getppid(), 9)",
    "group": POSIX + "def f(): return p.killpg(0, 9)",
    "limits": "import sys\ndef f():\n    r = sys.modules['resource']\n    r.setrlimit(r.RLIMIT_CPU, (99, 99))",
    "write above": "def f(): return open('../x', 'w')",
    "write far": "def f(): return open('/tmp/evil-of-the-example', 'w')",
    "link out": POSIX + "def f(): return p.symlink('/etc/passwd', 'x')",
    "list": POSIX + "def f(): return p.listdir('/')",
    "move away": POSIX + "def f(): return p.chdir('/')",
    "late import": "def f():\n    import shutil\n    return shutil.which('sh')",
    "importlib": "def f(): return __import__('shutil').rmtree('/')",
    "bytecode": "def f(): return f.__code__.replace(co_consts=())",
    "hook": "import sys\ndef f():\n    sys.addaudithook(print)\n    return open('/etc/passwd').read()",
}


@pytest.mark.parametrize("code", FORBIDDEN.values(), ids=FORBIDDEN)
def test_what_is_forbidden_is_refused(code: str) -> None:
    """No process, network, foreign file, signal or late import, whichever way it is asked for."""
    result, problem = outcome(code)
    assert result is None
    assert "not allowed here" in problem or "ImportError" in problem


def test_data_cannot_be_read() -> None:
    """The hidden tests stay hidden."""
    data = Path(__file__).parents[2] / "examples/spec_to_review/data/holdout.jsonl"
    assert data.is_file()
    assert outcome(f"def f(): return open({str(data)!r}).read()[:10]")[0] is None


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_files_are_kept_from_it_by_the_kernel_too(tmp_path: Path) -> None:
    """Without Python's own hook, the kernel still says no; where it cannot, a warning is printed."""
    source = (Path(__file__).parents[2] / "examples/spec_to_review/inside.py").read_text()
    assert '    sys.addaudithook(_hook(task["directory"]))\n' in source
    unhooked = tmp_path / "inside.py"
    unhooked.write_text(source.replace('    sys.addaudithook(_hook(task["directory"]))\n', ""))
    outside = tmp_path / "sandbox.py"
    outside.write_text((Path(__file__).parents[2] / "examples/spec_to_review/sandbox.py").read_text())
    import runpy

    unguarded = runpy.run_path(str(outside))["run"]
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    code = (
        POSIX
        + f"""
import random
def read(): return open('/etc/passwd').read()[:5]
def write(): return open({str(tmp_path / "x")!r}, 'w').write('x')
def connect():
    import _socket
    s = _socket.socket(); s.settimeout(2); s.connect(('127.0.0.1', {port})); return 'connected'
"""
    )
    found = unguarded(code, ["read()", "write()", "connect()"])
    listening.close()
    assert found.results[:2] == [None, None], "this kernel has no Landlock"
    assert "Permission denied" in found.problems[0]
    assert found.results[2] is None


def test_a_kernel_without_locks_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the kernel takes the network or files away from nobody, a warning says so, and says it once."""
    sandbox._warned.clear()
    try:
        for _ in range(2):
            sandbox._read(b"('locked', ['files'])\n('result', 0, '1')\n", "", 1)
        said = capsys.readouterr().err
    finally:
        sandbox._warned.clear()
    assert said.count("warning: this kernel does not take network away") == 1


def test_a_loop_ends_by_the_processors_clock() -> None:
    """One second of processor, whatever else goes on."""
    assert outcome("def f():\n    while True: pass") == (None, "the process ended before it came to this")


def test_a_sleep_ends_by_the_clock_on_the_wall() -> None:
    """Doing nothing is no way to hold a grading up."""
    start = time.monotonic()
    assert outcome("import sys\ndef f():\n    sys.modules['time'].sleep(60)", Limits(wall=1.0))[0] is None
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    "code",
    [
        "def f(): return len(bytearray(10 * 1024 ** 3))",
        "def f():\n    x = []\n    while True: x.append('a' * 1_000_000)",
    ],
)
def test_ten_gigabytes_are_not_had(code: str) -> None:
    """The allocation fails, not the machine."""
    assert outcome(code, Limits(cpu=5))[1].startswith("MemoryError")


def test_printing_a_gigabyte_costs_nobody_memory() -> None:
    """What code prints goes nowhere."""
    assert outcome("def f():\n    for _ in range(100): print('x' * 10_000_000)\n    return 1", Limits(cpu=8))[0] == "1"


def test_flooding_the_answers_ends_the_process() -> None:
    """Whoever writes to every file that is open is cut off."""
    flood = "def f():\n    while True:\n        for i in range(16):\n            try: p.write(i, b'x' * 65536)\n"
    assert outcome(POSIX + flood + "            except OSError: pass") == (None, "said too much")


@pytest.mark.parametrize(
    "code",
    [
        POSIX + "def f(): p._exit(0)",
        "def f(): raise SystemExit(0)",
        "raise SystemExit(0)",
        "import sys\nsys.exit(0)\ndef f(): return 1",
        "def f(",
        "def f(): raise KeyboardInterrupt",
        "class E(BaseException):\n    def __str__(self): raise E\ndef f(): raise E",
        "def f():\n    x = []\n    for _ in range(100_000): x = [x]\n    return x",
        "def f(): return 'x' * 100_000",
        "\udcff",
        "x = 1\0",
    ],
)
def test_ends_of_all_sorts_are_no_success(code: str) -> None:
    """However the process ends, nothing passes that gave no result."""
    result, problem = outcome(code)
    assert result is None
    assert problem


@pytest.mark.parametrize(
    "code",
    [
        "class A:\n    def __eq__(self, other): return True\n    def __repr__(self): return '5'\ndef f(): return A()",
        "class A(int):\n    def __repr__(self): return '5'\ndef f(): return A()",
        "class A(list):\n    def __repr__(self): return '5'\ndef f(): return [A()]",
        "import builtins\nbuiltins.repr = lambda value: '5'\ndef f(): return 4",
        "def f(): return 5.0",
        "def f(): return True",
    ],
)
def test_only_plain_right_values_pass(code: str) -> None:
    """Objects that equal everything, print as anything, or are of another type are wrong."""
    assert not same(outcome(code)[0], "5")


def test_a_forged_answer_needs_the_right_result() -> None:
    """The process never holds the expected results, so that a forger has to compute them."""
    forged = "def f():\n    for i in range(3, 16):\n        try: p.write(i, b\"('result', 0, '4')\\n\")\n"
    result, _ = outcome(POSIX + forged + "        except OSError: pass\n    p._exit(0)")
    assert not same(result, "5")


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("[1, 2]", "[1,2]", True),
        ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}", True),
        ("1", "True", False),
        ("[1]", "[True]", False),
        ("(1,)", "[1]", False),
        ("{1: [True]}", "{1: [1]}", False),
        ("1.0", "1", False),
        ("nan", "nan", True),
        ("f()", "1", False),
        (None, "None", False),
    ],
)
def test_same_means_type_and_value(one: str | None, other: str, equal: bool) -> None:
    """Literals are compared by what they mean."""
    assert same(one, other) is equal


def test_nothing_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No directory, and no process of the group."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)
    before = _children()
    outcome("def f():\n    open('x', 'w').write('x' * 100)\n    while True: pass")
    assert list(tmp_path.iterdir()) == []
    assert _children() == before


def _children() -> set[str]:
    """This process's children."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if status.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                found.add(status.parent.name)
        except OSError:
            continue
    return found
