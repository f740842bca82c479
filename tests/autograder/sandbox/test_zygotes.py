"""Forks of one zygote, one after the other: each must find what a Python of its own would find."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from running import MARK, running, soon

from autograder.sandbox import run as sandbox_run
from autograder.sandbox import zygotes as sandbox_zygotes
from autograder.sandbox.run import STOP, Outcome
from autograder.sandbox.zygotes import Zygotes, imports_of, zygotes

OPTIONS = {"seconds": 20, "memory_gib": 1, "processes": 64, "workdir": "/home/student/work"}
ABOUT = """
import json, os, resource, socket
lines = dict(line.rstrip().split(":", 1) for line in open("/proc/self/status"))
same = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
        "Seccomp_filters", "SigBlk", "SigIgn", "Umask", "Cpus_allowed_list")
print(json.dumps({
    "status": {name: lines[name].strip() for name in same},
    "limits": {name: resource.getrlimit(getattr(resource, name))
               for name in dir(resource) if name[:7] == "RLIMIT_" and name != "RLIMIT_NPROC"},
    "environment": dict(os.environ), "files": sorted(os.listdir("/proc/self/fd")),
    "streams": [os.readlink(f"/proc/self/fd/{number}").split(":")[0].split("/")[1:2] for number in (0, 1, 2)],
    "places": sorted(os.listdir("/")), "devices": sorted(os.listdir("/dev")), "scratch": os.listdir("/tmp"),
    "mounts": sorted({line.split()[4] for line in open("/proc/self/mountinfo")}),
    "flags": {place: os.statvfs(place).f_flag for place in ("/", "/proc", "/dev", "/usr", "/tmp", "/home", ".")},
    "ids": [os.getpid(), os.getppid(), os.getsid(0), os.getpgid(0)], "name": socket.gethostname(),
    "score": open("/proc/self/oom_score_adj").read(), "nice": os.nice(0), "place": os.getcwd(),
}))
"""
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


def run_with(here: Zygotes, folder: Path, source: str, **options: object) -> Outcome:
    job = folder / "job"
    job.mkdir(exist_ok=True)
    (job / "source.py").write_text(source)
    sandbox_run.open_to_all(job)
    return sandbox_run.run(["/job/source.py"], read_only={"/job": job}, start=here.start, **(OPTIONS | options))


@pytest.fixture
def fresh(sandbox_here: None, tmp_path: Path) -> Iterator[tuple[Path, Zygotes]]:
    """Zygotes of a test's own."""
    tmp_path.chmod(0o755)
    with zygotes(tmp_path, [f"import {MARK}"]) as here:
        yield tmp_path, here


def test_a_fork_finds_what_a_python_of_its_own_finds(run_forked, zygotes_here: tuple[Path, Zygotes]):
    forked = json.loads(run_forked(ABOUT).output)
    job = max(zygotes_here[0].iterdir(), key=lambda path: path.stat().st_mtime_ns)
    alone = json.loads(sandbox_run.run(["/job/source.py"], read_only={"/job": job}, **OPTIONS).output)
    assert forked == alone
    assert (forked["ids"][:2], forked["status"]["CapBnd"]) == ([1, 0], "0" * 16)
    assert forked["files"] == ["0", "1", "2", "3"]  # the last is the look at them


def namespaces_of(numbers: Iterable[int]) -> dict[int, set[str]]:
    """Read which namespaces processes are in; those that ended meanwhile are left out."""
    found = {}
    for number in numbers:
        with suppress(OSError):
            found[number] = {os.readlink(f"/proc/{number}/ns/{name}") for name in NAMESPACES}
    return found


def test_its_namespaces_are_its_own(run_forked):
    """Of no process that was there before it and after it: numbers of namespaces that ended are given out again."""
    run_forked("")  # from here on there is a zygote
    before = namespaces_of((*running(), os.getpid()))
    inside = run_forked(f"import os; print(*(os.readlink('/proc/self/ns/' + name) for name in {NAMESPACES}))")
    after = namespaces_of(before)
    lasting = [number for number in after if before[number] == after[number]]
    outside = set().union(*(after[number] for number in lasting))
    assert len(inside.output.split()) == len(NAMESPACES)
    assert len(lasting) > 1
    assert len(outside) > len(NAMESPACES)
    assert not outside & set(inside.output.decode().split())


LEFT = """
import os, socket, subprocess, sys, threading, time
for folder in ("/tmp", "/home/student", "/dev/shm", "."):
    open(f"{folder}/left", "w").write("here")
os.environ["LEFT"] = "here"
sys.modules["left"] = sys
import json, builtins
json.left = builtins.left = "here"
listening = socket.socket(socket.AF_UNIX); listening.bind("\\0left"); listening.listen()
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.semget(4711, 1, 0o1666))
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        for number in range(3): os.close(number)
        if os.fork() == 0: time.sleep(60)
        os._exit(0)
print(os.path.exists("/tmp/left"), flush=True)
os._exit(0)
"""
FOUND = """
import builtins, ctypes, json, os, socket, sys
found = [folder for folder in ("/tmp", "/home/student", "/dev/shm", ".") if os.path.exists(f"{folder}/left")]
found += ["environment"] if "LEFT" in os.environ else []
found += ["module"] if "left" in sys.modules or hasattr(json, "left") or hasattr(builtins, "left") else []
try:
    socket.socket(socket.AF_UNIX).connect("\\0left")
    found.append("socket")
except OSError: pass
libc = ctypes.CDLL(None, use_errno=True)
found += ["semaphore"] if libc.semget(4711, 1, 0) >= 0 else []
found += [name for name in os.listdir("/proc") if name.isdigit() and name != "1"]
print(found)
"""


def test_the_next_finds_nothing_of_what_one_left(run_forked):
    assert run_forked(LEFT).output == b"0\nTrue\n"
    assert run_forked(FOUND).output == b"[]\n"


def test_what_one_left_running_has_ended_before_the_next_begins(run_forked):
    run_forked("1")
    source = (
        "import os, time\nfor _ in range(20):\n    if os.fork() == 0: time.sleep(60)\nprint(1, flush=True)\nos._exit(0)"
    )
    before = len(running())
    assert run_forked(source).output == b"1\n"
    assert len(running()) <= before + 1  # the process that told of its end


def test_memory_of_one_is_not_in_the_next(fresh: tuple[Path, Zygotes]):
    """Nor its folder's name, which stands in what the fork was asked for: a zygote does not read that."""
    folder, here = fresh
    first, second = folder / "first-student", folder / "second-student"
    for place in (first, second):
        place.mkdir()
    marker = "what only the first knows"
    for _ in range(20):
        run_with(here, first, f"held = [{marker!r} + str(i) for i in range(1000)]")
    spelt = [bytes(x + 1 for x in text) for text in (marker.encode(), b"first-student", b"what the second knows")]
    search = (
        "def parts():\n"
        "    for line in open('/proc/self/maps'):\n"
        "        place, rights = line.split()[:2]\n"
        "        if rights[0] == 'r' and '[v' not in line:\n"
        "            start, end = (int(number, 16) for number in place.split('-'))\n"
        "            try: memory.seek(start); yield memory.read(end - start)\n"
        "            except (OSError, ValueError): pass\n"
        "memory = open('/proc/self/mem', 'rb', buffering=0)\n"
        "held = ['what the second knows ' + str(i) for i in range(1000)]\n"
        "found = [0, 0, 0]\n"
        "for part in parts():\n"
        f"    for number, text in enumerate({spelt}):\n"
        "        found[number] += part.count(bytes(x - 1 for x in text))\n"
        "print(found)"
    )
    of_first, its_folder, own = json.loads(run_with(here, second, search).output)
    assert own >= 1000
    # each is there where it is looked for, and where an earlier look was; not once for each run of the first
    assert (of_first < 10, its_folder < 10) == (True, True)


def test_random_numbers_differ_from_fork_to_fork(run_forked):
    source = (
        "import random, uuid, numpy as np, tempfile\n"
        "print(np.random.random(), random.random(), np.random.default_rng().random(), uuid.uuid4(), sep='\\n')"
    )
    first, second = (run_forked(source).output.split() for _ in range(2))
    assert len(first) == 4
    assert not set(first) & set(second)


DISTURBING = {
    "signals to all": "os.kill(-1, signal.SIGKILL); os.killpg(0, signal.SIGKILL)",
    "signals to the parent": "[os.kill(os.getppid() or 1, number) for number in (signal.SIGTERM, signal.SIGSTOP)]",
    "all that is open is written to and closed": (
        "for number in range(64):\n"
        "    try: os.write(number, b'ready' * 1000)\n"
        "    except OSError: pass\n"
        "os.closerange(0, 64)"
    ),
    "others are looked for in memory": (
        "[open(f'/proc/{number}/mem', 'r+b').write(b'x') for number in os.listdir('/proc') if number.isdigit()]"
    ),
    "another namespace is asked for": (
        "import ctypes; libc = ctypes.CDLL(None)\n"
        "assert [libc.unshare(flag) for flag in (0x10000000, 0x20000, 0x20000000)] == [-1, -1, -1], 'possible'\n"
        "assert libc.umount2(b'/proc', 2) == libc.mount(b'proc', b'/tmp', b'proc', 0, None) == -1, 'possible'\n"
        "for name in os.listdir('/proc/1/ns'):\n"
        "    assert libc.setns(os.open(f'/proc/1/ns/{name}', os.O_RDONLY), 0) == -1, 'possible'"
    ),
    "the interpreter outside is written to": "open('/proc/self/exe', 'r+b')",
    "processes without end": "while True:\n    try: os.fork()\n    except OSError: break",
    "it ends itself": "os._exit(9)",
}


@pytest.mark.parametrize("what", DISTURBING)
def test_no_fork_disturbs_the_next(run_forked, zygotes_here: tuple[Path, Zygotes], what: str):
    run_forked("1")
    before = _idle(zygotes_here[1])
    outcome = run_forked(f"import os, signal\n{DISTURBING[what]}", memory_gib=1)
    assert "possible" not in outcome.errors
    if outcome.status == "ended":  # many processes together may take more memory than is allowed
        assert _idle(zygotes_here[1]) == before
    assert run_forked("print('as ever')").output == b"as ever\n"


def _idle(here: Zygotes) -> set[int]:
    return {zygote.process.pid for zygotes in here._idle.values() for zygote in zygotes}


def test_a_fork_that_is_stopped_takes_its_zygote_with_it_and_the_next_has_another(fresh: tuple[Path, Zygotes]):
    folder, here = fresh
    before = running()
    stopped = run_with(here, folder, "while True: pass", seconds=1)
    assert stopped.status == "time"
    assert soon(lambda: running() <= before)
    assert run_with(here, folder, "print(1)", seconds=1).output == b"1\n"
    assert here.refusal == ""


def test_a_zygote_that_was_killed_meanwhile_is_made_anew(fresh: tuple[Path, Zygotes]):
    folder, here = fresh
    before = running()
    run_with(here, folder, "1")
    for number in running() - before:
        with suppress(psutil.NoSuchProcess):  # one of the others took it along
            psutil.Process(number).kill()
    assert run_with(here, folder, "print(1)").output == b"1\n"
    assert here.refusal == ""


def test_a_zygote_that_is_killed_under_its_fork_is_nobodys_fault(fresh: tuple[Path, Zygotes]):
    folder, here = fresh
    run_with(here, folder, "1")
    source = "import os, time; print(1, flush=True); time.sleep(30)"
    (zygote,) = here._idle[next(iter(here._idle))]

    def pythons() -> list[psutil.Process]:
        inside = psutil.Process(zygote.process.pid).children(recursive=True)
        return [process for process in inside if process.name().startswith("python")]

    assert soon(lambda: len(pythons()) == 1)  # the one that told of the first fork's end is gone
    (alone,) = pythons()

    class Killing:
        def write(self, chunk: bytes) -> None:
            alone.kill()

    outcome = run_with(here, folder, source, into=Killing())
    assert (outcome.status, outcome.returncode) == ("ended", sandbox_run.KILLED)


def test_an_interrupted_grader_leaves_no_zygote(sandbox_here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tmp_path.chmod(0o755)
    before = running()

    class Stop:
        def write(self, chunk: bytes) -> None:
            STOP.set()

    try:
        with pytest.raises(InterruptedError), zygotes(tmp_path, [f"import {MARK}"]) as here:
            run_with(here, tmp_path, "1")
            assert running() > before
            run_with(here, tmp_path, "import time; print(1, flush=True); time.sleep(30)", into=Stop())
    finally:
        STOP.clear()
    assert soon(lambda: running() <= before)


@pytest.mark.parametrize(
    ("imports", "why"),
    [
        (
            "import sys, threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
            "threads",
        ),
        (
            "import mmap, sys; file = open('/tmp/x', 'w+b'); file.truncate(4096); "
            "sys.shared = mmap.mmap(file.fileno(), 4096)",
            "shared memory",
        ),
    ],
)
def test_what_a_fork_would_share_is_refused_and_all_start_from_scratch(
    sandbox_here: None, tmp_path: Path, imports: str, why: str
):
    tmp_path.chmod(0o755)
    with zygotes(tmp_path, [imports]) as here:
        outcome = run_with(here, tmp_path, "import sys; print(hasattr(sys, 'shared'), 'numpy' in sys.modules)")
        assert outcome.output == b"False False\n"
        assert why in here.refusal


def test_where_no_sandbox_can_be_made_within_one_all_start_from_scratch(
    fresh: tuple[Path, Zygotes], monkeypatch: pytest.MonkeyPatch
):
    folder, here = fresh
    monkeypatch.setattr(sandbox_zygotes, "command_within", lambda *given: ["bwrap", "--nonsense"])
    assert run_with(here, folder, "import sys; print('numpy' in sys.modules)").output == b"False\n"
    assert here.refusal == "bwrap: Unknown option --nonsense"


def test_what_cannot_be_imported_is_left_to_the_notebook(sandbox_here: None, tmp_path: Path):
    tmp_path.chmod(0o755)
    with zygotes(tmp_path, ["import nothing_of_that_name", "import wave"]) as here:
        assert run_with(here, tmp_path, "import sys; print('wave' in sys.modules)").output == b"True\n"


def test_the_imports_of_a_notebook_are_those_of_the_cells_that_are_run(tmp_path: Path):
    check = {"nbgrader": {"grade": True, "solution": False}}
    cells = [
        new_markdown_cell("import antigravity"),
        new_code_cell(
            "%matplotlib inline\nimport numpy as np\nfrom starter.data import (\n    dataset,\n    split,\n)"
        ),
        new_code_cell("import numpy as np, wave\ndef f():\n    import inside\nx = 1"),
        new_code_cell("import a b"),
        new_code_cell("import torch", metadata={"tags": ["not-graded"]}),
        new_code_cell("from starter.check import check", metadata=check),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "notebook.ipynb")
    due = ["import numpy as np", "from starter.data import dataset, split", "import numpy as np, wave"]
    assert imports_of(tmp_path / "notebook.ipynb") == due
