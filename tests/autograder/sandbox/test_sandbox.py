import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from running import MARK, running, soon

from autograder.course import Course
from autograder.sandbox import contents, ready
from autograder.sandbox import run as sandbox_run
from autograder.sandbox.bubblewrap import COURSE_ROOT, KIT
from autograder.sandbox.ready import NoSandboxError, check_sandbox, gpu_devices
from autograder.sandbox.run import CORES, Outcome
from starter.errors import InputError

WORKDIR = f"{COURSE_ROOT}/assignments/04_baselines"


@pytest.fixture(params=["from scratch", "from a zygote"])
def run_inside(request: pytest.FixtureRequest, sandbox_here: None, released: Course):
    """Run Python source in the sandbox, which is the same however it is started."""

    def run(source: str, without: tuple[str, ...] = (), **options: object) -> Outcome:
        arguments = {"seconds": 20, "memory_gib": 1, "processes": 64, "workdir": WORKDIR, "read_only": {}} | options
        arguments["read_only"] = {KIT: contents.kit(released, without), **arguments["read_only"]}
        if request.param == "from scratch":
            return sandbox_run.run(["-c", source], **arguments)
        return request.getfixturevalue("run_forked")(source, **arguments)

    return run


def test_what_is_printed_comes_out(run_inside):
    outcome = run_inside("print('hello')")
    assert (outcome.status, outcome.returncode, outcome.output) == ("ended", 0, b"hello\n")


def test_errors_are_kept_for_the_instructor(run_inside):
    outcome = run_inside("raise ValueError('oh')")
    assert outcome.returncode == 1
    assert outcome.errors.endswith("ValueError: oh\n")


def test_there_is_no_network(run_inside):
    outcome = run_inside(
        "import socket\n"
        "for family, address in ((socket.AF_INET, ('1.1.1.1', 53)), (socket.AF_INET, ('127.0.0.1', 22))):\n"
        "    try:\n        socket.create_connection(address, 2); print('connected')\n"
        "    except OSError as error:\n        print('refused')"
    )
    assert outcome.output == b"refused\nrefused\n"


def test_there_is_no_grader_no_solution_no_home(run_inside, released, tmp_path: Path):
    secret = tmp_path / "answer.txt"
    secret.write_text("42")
    places = [secret, released.grading, released.root / "solutions", Path(__file__).parents[3] / "autograder"]
    places += [Path("/etc/passwd"), Path("/etc/shadow"), Path.home() / ".ssh", Path.home() / ".bashrc"]
    outcome = run_inside(f"import os; print([os.path.exists(path) for path in {[str(place) for place in places]}])")
    assert outcome.output == f"{[False] * len(places)}\n".encode()


def test_the_graders_packages_cannot_be_imported(run_inside):
    outcome = run_inside(
        "import importlib.util\nprint([importlib.util.find_spec(name) is not None for name in "
        "('starter', 'autograder', 'data_scripts')])"
    )
    assert outcome.output == b"[True, False, False]\n"


def test_excluded_modules_are_not_there(run_inside):
    source = (
        "import importlib\nfor name in ('check', 'scoring.truth.baseline', 'scoring.metrics',\n"
        "             'scoring.metrics.error'):\n"
        "    try:\n        importlib.import_module('starter.' + name); print(name)\n"
        "    except ModuleNotFoundError:\n        print('-')"
    )
    outcome = run_inside(source, without=("starter.scoring.truth.baseline", "starter.scoring.metrics"))
    assert outcome.output == b"check\n-\n-\n-\n"


def test_a_module_that_does_not_exist_cannot_be_excluded(run_inside):
    with pytest.raises(
        InputError, match="the kit has no starter.anchor, numpy to leave out; mend the questions' `without`"
    ):
        run_inside("1", without=("starter.anchor", "starter.scoring", "numpy"))


def test_what_is_bound_is_read_only_whatever_its_permissions_say(run_inside, tmp_path: Path):
    (tmp_path / "data.txt").write_text("cells")
    for path in (tmp_path, tmp_path / "data.txt"):
        path.chmod(0o777)
    outcome = run_inside(
        "import os\n"
        "print(open('/home/student/course/data/x/data.txt').read())\n"
        "bound = '/home/student/course/data/x'\n"
        "for path in (f'{bound}/data.txt', f'{bound}/new', '/kit/new', '/usr/new'):\n"
        "    try:\n        open(path, 'a'); print('written')\n"
        "    except OSError as error:\n        print(error.strerror)\n"
        "print([bool(os.statvfs(place).f_flag & os.ST_RDONLY) for place in ('/kit', '/usr', bound)])",
        read_only={f"{COURSE_ROOT}/data/x": tmp_path},
    )
    assert outcome.output.decode().splitlines() == ["cells", *["Read-only file system"] * 4, "[True, True, True]"]
    assert ([path.name for path in tmp_path.iterdir()], (tmp_path / "data.txt").read_text()) == (["data.txt"], "cells")


def test_it_starts_in_an_empty_folder_that_can_be_written(run_inside):
    outcome = run_inside("import os; print(os.getcwd(), os.listdir()); open('x', 'w').write('y'); print(os.listdir())")
    assert outcome.output == f"{WORKDIR} []\n['x']\n".encode()


def test_an_endless_loop_is_stopped(run_inside):
    outcome = run_inside("print('begun', flush=True)\nwhile True: pass", seconds=2)
    assert (outcome.status, outcome.output) == ("time", b"begun\n")
    assert outcome.seconds < 2 * (1 + sandbox_run.MOST_WAITING) + 2


def test_time_for_which_the_machine_had_no_core_does_not_count(run_inside, monkeypatch: pytest.MonkeyPatch):
    """Four others keep the one core busy on which it may run, so that it has half of it at most."""
    core = min(os.sched_getaffinity(0))
    monkeypatch.setattr(CORES, "given", [core], raising=False)
    monkeypatch.setattr(sandbox_run, "MOST_WAITING", 20)  # whatever else this machine does
    code = "import time\nwhile time.process_time() < 3: pass\nprint('done')"
    busy = ["taskset", "--cpu-list", str(core), sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(busy) for _ in range(4)]
    try:
        outcome = run_inside(code, seconds=3.5)
    finally:
        for other in others:
            other.kill()
            other.wait()
    assert (outcome.status, outcome.output) == ("ended", b"done\n")
    assert outcome.seconds > 3.5


def test_a_process_left_behind_is_killed(run_inside):
    mark = "left-behind-by-a-submission"
    source = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', '{mark}'])"
    )
    outcome = run_inside(source, seconds=20)
    assert outcome.status == "ended"
    assert outcome.seconds < 15
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(mark.encode() in line for line in running)


def test_endless_output_is_stopped(run_inside):
    outcome = run_inside("while True: print('x' * 10_000)", max_output=1 << 20)
    assert outcome.status == "output"
    assert len(outcome.output) < 4 << 20


def test_memory_has_a_limit(run_inside):
    outcome = run_inside("try:\n    x = bytearray(3 << 30); print('taken')\nexcept MemoryError:\n    print('refused')")
    assert outcome.output == b"refused\n"


def test_memory_of_all_processes_together_has_a_limit(run_inside):
    """Each stays below the limit of a process, and together they pass it."""
    source = (
        "import os, time\nfor _ in range(5):\n    if os.fork() == 0: break\n"
        "held = b'x' * (400 << 20)\nprint('held', flush=True)\ntime.sleep(20)"
    )
    outcome = run_inside(source)
    assert outcome.status == "memory"
    assert outcome.seconds < 15
    assert run_inside(source.replace("400 << 20", "10 << 20").replace("sleep(20)", "sleep(1)")).output == b"held\n" * 6


HIDDEN_MEMORY = {
    "shared by a family": "import mmap; mmap.mmap(-1, 1 << 20)",
    "shared by way of a device": "import mmap; zeros = open('/dev/zero', 'r+b'); mmap.mmap(zeros.fileno(), 1 << 20)",
    "in a file without a name": "import os; os.memfd_create('x')",
    "in a segment": "assert libc.shmget(0, 1 << 20, 0o1600) >= 0, ctypes.get_errno()",
    "in messages": "assert libc.msgget(0, 0o1600) >= 0, ctypes.get_errno()",
}


@pytest.mark.parametrize("where", HIDDEN_MEMORY)
def test_there_is_no_memory_that_the_limit_does_not_count(run_inside, where: str):
    outcome = run_inside(f"import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n{HIDDEN_MEMORY[where]}")
    assert outcome.returncode == 1
    assert re.search("PermissionError|AssertionError: 1$|OSError: .Errno 19.", outcome.errors.strip())


def test_what_python_shares_between_processes_works(run_inside):
    source = (
        "import multiprocessing, multiprocessing.shared_memory as shared\n"
        "fork = multiprocessing.get_context('fork')\n"  # by default Python 3.14 makes processes that lack `add`
        "total = fork.Value('i', 0)\n"
        "def add(number):\n    with total.get_lock(): total.value += number\n    return number\n"
        "with fork.Pool(2) as pool: print(pool.map(add, [1, 2, 3]), total.value)\n"
        "memory = shared.SharedMemory(create=True, size=8)\nmemory.buf[0] = 7\nprint(memory.buf[0])\nmemory.unlink()"
    )
    assert run_inside(source).output == b"[1, 2, 3] 6\n7\n"


def test_the_graders_keys_are_out_of_reach(run_inside):
    """The kernel's keyrings, where a login may keep its tickets, follow a process through all namespaces."""
    search = "libc.syscall(250 if os.uname().machine == 'x86_64' else 219, 0, -3, 0)"  # get the session's keyring
    outcome = run_inside(
        f"import ctypes, os; libc = ctypes.CDLL(None, use_errno=True); print({search}, ctypes.get_errno())"
    )
    assert outcome.output == b"-1 1\n"


def test_where_the_machines_memory_ends_what_is_inside_goes_first(run_inside):
    outcome = run_inside(
        "print(open('/proc/self/oom_score_adj').read())\n"
        "try: open('/proc/self/oom_score_adj', 'w').write('0')\nexcept OSError: print('refused')"
    )
    assert outcome.output == b"1000\n\nrefused\n"


def test_a_run_stays_on_the_cores_it_was_given(run_inside, monkeypatch: pytest.MonkeyPatch):
    last = max(os.sched_getaffinity(0))
    monkeypatch.setattr(CORES, "given", [last], raising=False)
    outcome = run_inside(
        "import os\nprint(os.sched_getaffinity(0))\n"
        f"try: os.sched_setaffinity(0, {os.sched_getaffinity(0)})\nexcept PermissionError: print('refused')"
    )
    assert outcome.output == f"{{{last}}}\nrefused\n".encode()


def test_a_fork_bomb_reaches_its_limit(run_inside):
    source = (
        "import os, time\nmade = 0\n"
        "try:\n    while made < 5000:\n        if os.fork() == 0:\n            time.sleep(60)\n        made += 1\n"
        "except OSError as error:\n    print(made, error.errno)"
    )
    made, errno = map(int, run_inside(source, processes=40, memory_gib=8).output.split())
    assert errno == 11  # EAGAIN
    assert made == 39


def test_a_bomb_that_forks_from_every_child_ends_with_the_sandbox(run_inside):
    before = running()
    outcome = run_inside(
        f"import os  # {MARK}\nprint('begun', flush=True)\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        seconds=3,
        memory_gib=8,
    )
    assert (outcome.status, outcome.output[:5]) == ("time", b"begun")
    assert outcome.seconds < 3 * (1 + sandbox_run.MOST_WAITING) + sandbox_run.LAST_BREATH
    assert soon(lambda: running() <= before)


@pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="needs a device that is not in every sandbox")
def test_only_devices_that_are_named_are_there(run_inside):
    """One that this machine has stands for a GPU."""
    source = "import os; print(os.path.exists('/dev/fuse'), os.path.exists('/dev/null'))"
    assert run_inside(source).output == b"False True\n"
    assert run_inside(source, devices=[Path("/dev/fuse")]).output == b"True True\n"


def test_gpus_are_found_by_their_devices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    names = ("nvidia0", "nvidia12", "nvidiactl", "nvidia-uvm", "kfd", "dri/renderD128", "dri/card0", "nvidia-modeset")
    (tmp_path / "dri").mkdir()
    for name in names:
        (tmp_path / name).touch()
    monkeypatch.setattr(ready, "DEVICES", tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in gpu_devices()} == set(names[:6])


def test_a_file_has_a_limit(run_inside):
    outcome = run_inside(
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "try:\n    open('x', 'wb').write(bytes(32 << 20)); print('written')\nexcept OSError:\n    print('refused')",
        scratch=8 << 20,
    )
    assert outcome.output == b"refused\n"


def test_it_is_another_user_without_powers(run_inside):
    outcome = run_inside(
        "import os; print(os.getuid(), os.getgid())\n"
        "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('CapEff')])"
    )
    assert outcome.output == b"65534 65534\n['0000000000000000']\n"


def test_other_processes_cannot_be_seen(run_inside):
    outcome = run_inside("import os; print(sum(name.isdigit() for name in os.listdir('/proc')))")
    assert int(outcome.output) <= 3


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("bwrap", "needs bwrap, which is not here: apt install bubblewrap"),
        ("prlimit", "needs prlimit.*: apt install util-linux"),
        ("taskset", "needs taskset.*: apt install util-linux"),
        ("choom", "needs choom.*: apt install util-linux"),
    ],
)
def test_without_the_programs_it_refuses_and_names_the_package(
    monkeypatch: pytest.MonkeyPatch, missing: str, said: str
):
    monkeypatch.setattr(shutil, "which", lambda name: None if name == missing else f"/usr/bin/{name}")
    with pytest.raises(NoSandboxError, match=said):
        check_sandbox()


def test_on_a_machine_whose_calls_are_not_known_it_refuses(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(NoSandboxError, match="needs an x86_64 or aarch64 machine, which riscv64 is not"):
        check_sandbox()


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_elsewhere_it_refuses_and_names_a_way(monkeypatch: pytest.MonkeyPatch, system: str):
    monkeypatch.setattr("platform.system", lambda: system)
    with pytest.raises(NoSandboxError, match=f"which {system} has not: use WSL2 or a Linux virtual machine"):
        sandbox_run.run(["-c", "1"], read_only={}, seconds=1, memory_gib=1, processes=9, workdir="/x")


def test_a_bubblewrap_that_does_not_work_is_not_worked_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(NoSandboxError, match=r"cannot make a sandbox \(bwrap: setting up uid map: Permission denied\)"):
        check_sandbox()


def test_nothing_but_scratch_can_be_written_and_that_is_limited(run_inside):
    outcome = run_inside(
        "import os\n"
        "for folder in ('/', '/dev', '/etc', '/kit', '/home/student', '/dev/shm', '/tmp', '.'):\n"
        "    size = 0\n"
        "    try:\n"
        "        for number in range(10):\n"
        "            open(f'{folder}/x{number}', 'wb').write(bytes(1 << 20)); size += 1\n"
        "    except OSError: pass\n"
        "    print(folder, size)",
        scratch=4 << 20,
    )
    sizes = dict(line.split() for line in outcome.output.decode().splitlines())
    assert {folder for folder, size in sizes.items() if size == "0"} == {"/", "/dev", "/etc", "/kit"}
    assert all(int(size) <= 4 for size in sizes.values())


def test_the_graders_environment_is_not_there(run_inside, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LMS_PASSWORD", "open sesame")
    outcome = run_inside(
        "import os\nfrom pathlib import Path\n"
        "print([path for path in Path('/proc').glob('[0-9]*/environ') if b'sesame' in path.read_bytes()])\n"
        "print(os.environ.get('LMS_PASSWORD'), os.getpid(), sorted(p.name for p in Path('/proc').glob('[0-9]*')))"
    )
    assert outcome.output.decode() == "[]\nNone 1 ['1']\n"


def test_nothing_of_the_machine_can_be_set_even_if_root_grades(run_inside):
    outcome = run_inside(
        "import os\n"
        "def attempt(name, work):\n"
        "    try: work(); print(name, 'was possible')\n"
        "    except OSError: pass\n"
        "for folder, folders, files in os.walk('/proc'):\n"
        "    folders[:] = [name for name in folders if not name.isdigit()]\n"
        "    for name in files:\n"
        "        path = os.path.join(folder, name)\n"
        "        if os.access(path, os.W_OK): print(path, 'is writable')\n"
        "attempt('core_pattern', lambda: open('/proc/sys/kernel/core_pattern', 'w'))\n"
        "attempt('chmod', lambda: os.chmod('/dev/null', 0o666))\n"
        "attempt('nice', lambda: os.nice(-5))\n"
    )
    assert (outcome.output, outcome.returncode) == (b"", 0)


def test_folders_that_only_root_can_open_are_given_all_the_same(run_inside, tmp_path: Path):
    (tmp_path / "private" / "given").mkdir(parents=True)
    (tmp_path / "private" / "given" / "file").write_text("content")
    (tmp_path / "private").chmod(0o700)
    outcome = run_inside("print(open('/given/file').read())", read_only={"/given": tmp_path / "private" / "given"})
    assert outcome.output == b"content\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's files are the sandbox's own")
def test_a_file_that_others_cannot_read_is_named(run_inside, tmp_path: Path):
    (tmp_path / "file").touch(mode=0o600)
    with pytest.raises(NoSandboxError, match="cannot be read by the user who runs students' code; run: chmod"):
        run_inside("", read_only={"/file": tmp_path / "file"})


@pytest.mark.parametrize(
    "start",
    ["run.from_scratch", f"zygotes.Zygotes(folder, ['import {MARK}']).start"],
    ids=["from scratch", "from a zygote"],
)
def test_a_killed_grader_leaves_nothing_running(sandbox_here: None, tmp_path: Path, start: str):
    tmp_path.chmod(0o755)
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "source.py").write_text("import time; time.sleep(60)")
    (tmp_path / "grader.py").write_text(
        "from pathlib import Path\nfrom autograder.sandbox import run, zygotes\n"
        f"folder = Path({str(tmp_path)!r})\nstart = {start}\n"
        f"run.run(['/job/source.py', '{MARK}'], read_only={{'/job': folder / 'job'}}, seconds=60, memory_gib=1, "
        f"processes=9, workdir='{WORKDIR}', start=start)"
    )
    before = running()
    grader = subprocess.Popen([sys.executable, str(tmp_path / "grader.py")])
    assert soon(lambda: running() - before)
    time.sleep(1)
    assert grader.poll() is None
    assert running() - before
    grader.kill()
    grader.wait()
    assert soon(lambda: running() <= before)
