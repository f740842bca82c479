"""Notebooks that try to earn points without a right answer."""

import re
import shutil
import time
import tracemalloc
from dataclasses import replace

import pytest
from handing_in import RIGHT, STAGE, WRONG, grade_one, submit

from autograder.course import Course, read_course
from autograder.grading import asking, grade
from autograder.grading.grade import grade_stage

ATTACKS = {
    "every later cell becomes pass": "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])",
    "an AST transformer": (
        "import ast\n"
        "class Strip(ast.NodeTransformer):\n    def visit_Assert(self, node): return None\n"
        "get_ipython().ast_transformers.append(Strip())"
    ),
    "numpy says that all is close": "import numpy; numpy.isclose = numpy.allclose = lambda *a, **k: True",
    "the kit says that all is close": "from starter.answers.comparators import Close; Close.fault = lambda *a: None",
    "json and values are patched": (
        "import json, starter.answers.values as v\n"
        "json.dumps = lambda *a, **k: '[{\"value\": 1}]'\nv.encode = lambda value: b'x'"
    ),
    "the interpreter ends when asked": "import atexit, os; atexit.register(os._exit, 0)",
    "an error without a text": (
        "import starter.answers.values as v\ncalls = v.encode\n"
        "v.encode = lambda value: calls([{'error': ''}] * 3 if isinstance(value, list) else value)"
    ),
    "errors are described by nothing": (
        "import sys\nsys.modules['__main__'].describe_error = lambda error: ''\n"
        "def train_mean(expression, target_gene): raise ValueError"
    ),
    "the kit's way to ask is patched": (
        "from starter.answers import kinds\nkinds.Function.answer = lambda self, function, inputs: 'full marks'"
    ),
    "the questions are looked for in memory": (
        "import gc\nfor thing in gc.get_objects():\n    if type(thing) is dict and 'due' in thing: DUE = thing['due']"
    ),
    "a file where the answer should be": "open('train_mean.npz', 'w').write('5')",
    "a file in the job": "try: open('/job/train_mean.npz', 'wb').write(b'')\nexcept OSError: pass",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_tricks_around_a_wrong_answer_earn_nothing(graded, attack: str):
    result = graded(WRONG, extra=ATTACKS[attack])
    assert result.points == 0
    assert result.questions[0].reason


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if "patched" not in attack and "error" not in attack])
def test_tricks_around_a_right_answer_cost_nothing(graded, attack: str):
    """So each trick leaves the answer to be judged: it is the wrong value that earns nothing above."""
    assert graded(RIGHT, extra=ATTACKS[attack]).points == 5


ANSWERS = {
    "an object that equals everything": (
        "class Always:\n    def __eq__(self, other): return True\n    def __array__(self, *a, **k): return self\n"
        "def train_mean(expression, target_gene): return Always()"
    ),
    "an array that hides its values": (
        "class Sly(np.ndarray):\n    def __array_function__(self, *a, **k): return True\n"
        "    def __eq__(self, other): return True\n"
        "def train_mean(expression, target_gene): return np.zeros(expression.shape[1]).view(Sly)"
    ),
    "a sparse matrix of a huge shape": (
        "import scipy.sparse\n"
        "def train_mean(expression, target_gene): return scipy.sparse.csr_matrix((1, 2**40), dtype=float)"
    ),
    "nested very deep": (
        "def train_mean(expression, target_gene):\n    x = []\n    for _ in range(400): x = [x]\n    return x"
    ),
    "a number beyond all floats": "def train_mean(expression, target_gene): return [10**400] * expression.shape[1]",
    "a text that cannot be written": "def train_mean(expression, target_gene): return '\\ud800\\x1b[31m'",
    "an error that cannot be written": "def train_mean(expression, target_gene): raise ValueError('\\ud800\\x1b[31m')",
    "nested without end": "def train_mean(expression, target_gene):\n    x = []\n    x.append(x)\n    return x",
    "larger than allowed": "def train_mean(expression, target_gene): return np.zeros(1 << 26)",
    "the process ends itself": "import os; os._exit(0)",
    "the process ends itself when asked": "import os\ndef train_mean(expression, target_gene): os._exit(0)",
    "the cell exits": "import sys; sys.exit(0)",
    "not a function": "train_mean = None",
    "an exception that cannot be printed": (
        "class Mute(Exception):\n    def __str__(self): raise ValueError\n"
        "def train_mean(expression, target_gene): raise Mute"
    ),
    "a thousand threads": (
        "import threading, time\n"
        "for _ in range(1000): threading.Thread(target=time.sleep, args=(1,), daemon=True).start()"
    ),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_answers_that_are_none_earn_nothing(graded, answer: str):
    result = graded(ANSWERS[answer])
    assert result.points == 0
    assert result.questions[0].reason


def test_an_answer_that_is_far_too_large_is_told_so(graded):
    """And costs neither the other questions nor the grader's memory."""
    question = graded("def train_mean(expression, target_gene): return np.zeros(3 << 20)").questions[0]
    assert question.points == 0
    assert question.reason == "case 1 of 3: what came takes 24 MiB; at most 16 MiB are taken"


def test_a_forged_answer_of_hundreds_of_megabytes_is_stopped(graded, monkeypatch: pytest.MonkeyPatch):
    came = []
    real = asking.run.run
    monkeypatch.setattr(asking.run, "run", lambda *a, **named: came.append(real(*a, **named)) or came[-1])
    forge = (
        "import os, struct\n"
        "for fd in range(3, 40):\n"
        "    try:\n"
        "        os.write(fd, struct.pack('>HQ', 10, 240 << 20) + b'train_mean')\n"
        "        for _ in range(240): os.write(fd, bytes(1 << 20))\n"
        "    except OSError: pass"
    )
    question = graded(RIGHT, extra=forge).questions[0]
    assert (question.points, question.reason) == (0, "the notebook wrote too much, and was stopped")
    assert len(came[-1].output) < 70 << 20


def test_a_forged_answer_earns_nothing_and_is_held(graded):
    """A frame that the notebook writes itself counts as its answer; the kit's own then comes as a second one."""
    forge = (
        "import os, struct\n"
        "for fd in range(3, 40):\n"
        "    try: os.write(fd, struct.pack('>HQ', 10, 4) + b'train_mean' + b'full')\n"
        "    except OSError: pass"
    )
    result = graded(RIGHT, extra=forge)
    assert result.points == 0
    assert result.questions[0].reason.startswith("the answer cannot be read")
    assert result.questions[0].held == "more than one answer came for this question; only the kit may send one"


def test_a_forged_end_earns_nothing_and_is_held(graded):
    forge = (
        "import os, struct\n"
        "for fd in range(3, 40):\n"
        "    try: os.write(fd, struct.pack('>HQ', 3, 0) + b'end')\n"
        "    except OSError: pass\n"
        "os._exit(0)"
    )
    question = graded(RIGHT, extra=forge).questions[0]
    assert (question.points, question.held) == (0, asking.ENDED_EARLY)


@pytest.mark.parametrize(
    ("reached", "end", "said"),
    [
        ("cells", {"returncode": 137}, "the sandbox was killed, as where this machine's memory ends; grade again"),
        ("start", {"returncode": 137}, "the sandbox was killed, as where this machine's memory ends; grade again"),
        ("start", {"returncode": 1, "errors": "x\nImportError: IPython"}, "(ImportError: IPython); grade again"),
        ("start", {"status": "time"}, "(took longer than 85 s); grade again"),
    ],
)
def test_what_the_machine_ended_is_listed_and_tried_again(
    sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch, reached: str, end: dict, said: str
):
    real = asking.run.run

    def ended(command: list[str], **named: object) -> object:
        outcome = real(command, **named)
        came = outcome.output[: outcome.output.index(reached.encode()) + len(reached)]
        return replace(outcome, output=came, **end) if "/job" in command else outcome

    submit(course, "ada", RIGHT)
    with monkeypatch.context() as broken:
        broken.setattr(asking.run, "run", ended)
        results, failed = grade_stage(course, STAGE)
    assert results == []
    assert said in failed["ada"]
    assert grade_one(course).points == 5


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "right in all 3 cases"),  # process 1 cannot be
        ("import os; os._exit(9)", "the notebook ended its own process, so this question was not reached"),
    ],
)
def test_a_notebook_that_ends_itself_is_not_taken_for_that(graded, code: str, said: str):
    assert graded(RIGHT, extra=code).questions[0].reason == said


def test_a_forged_list_of_errors_costs_the_grader_no_memory():
    """Its 6 MB would be 200 in memory, and the 256 MB that may come out 8,000."""
    forged = b"[" + b"[]," * 2_000_000 + b"[]]"
    tracemalloc.start()
    assert asking._cell_errors({"cells": forged}) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_seed_cannot_be_guessed_from_the_public_cases(graded):
    """Answers that are right for the public cases only are wrong for the hidden ones."""
    memorised = """
from starter import values
import pathlib
CASES = values.decode(pathlib.Path("checks/train_mean.npz").read_bytes())["cases"]
def train_mean(expression, target_gene):
    for case in CASES:
        if case["inputs"]["expression"].shape[1] == expression.shape[1]:
            return case["due"]
"""
    assert graded(memorised).points == 0


def test_the_reference_implementation_is_not_there(graded):
    result = graded("from starter.scoring.truth.baseline import train_mean")
    assert result.points == 0
    reason = result.questions[0].reason
    assert "No module named 'starter.scoring'; what answers questions is not there" in reason


def test_nothing_of_the_grader_or_of_others_is_in_reach(sandbox_here: None, course: Course):
    """Looks through all that can be read, the memory of other processes included, for files and for the secret."""
    submit(course, "bob", RIGHT)
    secret = course.secret().hex()
    search = f"""
import os, sys
FOUND = []
for folder, folders, files in os.walk("/"):
    if folder in ("/usr", "/sys", "/proc", sys.prefix, sys.base_prefix):
        folders.clear()
        continue
    for name in folders + files:
        if name in ("hidden.h5ad", "secret", "gradebook.db", "solutions", "results", "bob", "truth.json", "autograder"):
            FOUND.append(os.path.join(folder, name))
for number in (name for name in os.listdir("/proc") if name.isdigit()):
    for name in ("environ", "cmdline"):
        text = open(f"/proc/{{number}}/{{name}}", "rb").read()
        if {secret[:32]!r}.encode() in text or b"{course.root}" in text: FOUND.append(number)
FOUND.append(len(os.listdir("/submission")))
def train_mean(expression, target_gene): return FOUND
"""
    submit(course, "ada", search)
    results, failed = grade.grade_stage(course, STAGE)
    assert failed == {}
    assert [result.questions[0].points for result in results] == [0, 5]
    assert results[0].questions[0].came.split() == ["list", "of", "1", "1"]


@pytest.fixture
def hurried(sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch) -> Course:
    """A course with little time."""
    path = course.root / "course.toml"
    path.write_text(path.read_text().replace("seconds = 60", "seconds = 8"))
    monkeypatch.setattr(asking, "START_SECONDS", 2)
    return read_course(course.root)


ENDLESS = {
    "a wait that no signal interrupts": (
        "import ctypes\nlibrary, lock = ctypes.CDLL(None), ctypes.create_string_buffer(64)\n"
        "for _ in range(2): library.pthread_mutex_lock(lock)",
        "the notebook was stopped after 20 s",
    ),
    "a loop that no signal interrupts": ("sum(iter(int, 1))", "the notebook was stopped after 20 s"),
    "signals are blocked": (
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))\nsum(iter(int, 1))",
        "the notebook was stopped after 20 s",
    ),
    "a fork bomb": (
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        "the notebook (took more than 4 GiB of memory|was stopped after 20 s)",
    ),
    "ten gigabytes come out": (
        "import os\nfor fd in range(3, 40):\n    try:\n        while True: os.write(fd, bytes(1 << 20))\n"
        "    except OSError: pass",
        "the notebook wrote too much, and was stopped",
    ),
    "all memory, by many": (
        "import os\nfor _ in range(8): os.fork()\nheld = b'x' * (900 << 20)\nwhile True: pass",
        "the notebook took more than 4 GiB of memory, and was stopped",
    ),
}


@pytest.mark.parametrize(
    "attack",
    # two are stopped as the first is, and keep a processor busy for 20 s each
    [
        pytest.param(attack, marks=pytest.mark.slow if code.endswith("sum(iter(int, 1))") else ())
        for attack, (code, _) in ENDLESS.items()
    ],
)
def test_what_never_ends_is_stopped_and_the_next_is_graded(hurried: Course, attack: str):
    code, said = ENDLESS[attack]
    submit(hurried, "ada", RIGHT, extra=code)
    submit(hurried, "bob", RIGHT)
    before = shutil.disk_usage(hurried.root).used
    start = time.monotonic()
    results, failed = grade.grade_stage(hurried, STAGE)
    assert failed == {}
    assert [result.questions[0].points for result in results] == [0, 5]
    assert re.match(said, results[0].questions[0].reason)
    assert time.monotonic() - start < 120
    assert shutil.disk_usage(hurried.root).used - before < 1 << 30


UNHARMED = {
    "endless print": "for _ in range(200_000): print('x' * 1000)",
    "the disk is filled": (
        "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "for folder in ('/tmp', '.', '/home/student', '/dev/shm'):\n    try:\n"
        "        with open(folder + '/x', 'wb') as file:\n            while True: file.write(bytes(1 << 20))\n"
        "    except OSError: pass\n    finally: os.remove(folder + '/x') if os.path.exists(folder + '/x') else None"
    ),
    "links and pipes beside the notebook": "os.symlink('/etc/passwd', 'answers.json'); os.mkfifo('out.npz')",
    "modules of the student's own": (
        "for name in ('starter', 'IPython', 'json'):\n    os.makedirs(name, exist_ok=True)\n"
        "    open(name + '/__init__.py', 'w').write('raise SystemExit')"
    ),
    "standard streams are closed": "for fd in (0, 1, 2): os.close(fd)",
}


@pytest.mark.parametrize("oddity", UNHARMED)
def test_oddities_beside_a_right_answer_cost_nothing(graded, oddity: str):
    result = graded(RIGHT, extra=f"import os\n{UNHARMED[oddity]}")
    assert (result.questions[0].points, result.questions[0].held) == (5, "")


def test_inputs_differ_between_students_and_between_submissions(course: Course):
    seeds = {course.derived_seed("question", *who, "train_mean") for who in (("ada", "1"), ("bob", "1"), ("ada", "2"))}
    assert len(seeds) == 3
    assert course.derived_seed("question", "ada", "1", "train_mean") in seeds


BUFFER = """
FILLED = {}
def train_mean(expression, target_gene):
    names = [name for name in np.unique(target_gene) if name != "non-targeting"]
    profiles = [np.asarray(expression[target_gene == name].mean(axis=0)).ravel() for name in names]
    filled = FILLED.setdefault("buffer", np.zeros(1000))[: expression.shape[1]]
    filled[:] = np.mean(profiles, axis=0)
    return filled
"""


def test_an_array_that_is_filled_again_for_each_case_is_right_in_all(graded):
    assert graded(BUFFER).questions[0].reason == "right in all 3 cases"


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        ("expression.data *= 2", "expression"),
        ("target_gene[:] = 'A'", "target_gene"),
        ("expression.sort_indices(); expression.eliminate_zeros()", ""),
    ],
)
def test_a_function_that_changes_its_inputs_is_told_so(graded, spoil: str, name: str):
    code = RIGHT.replace("return np.mean(", "result = np.mean(") + f"\n    {spoil}\n    return result"
    question = graded(code).questions[0]
    if name:
        said = f"case 1 of 3: it changed its own input '{name}'; work on a copy of it"
        assert (question.points, question.reason) == (0, said)
    else:
        assert question.points == 5


@pytest.mark.parametrize(
    ("defined", "said"),
    [
        ("class InputError(Exception): pass", "InputError: full marks, says the grader"),
        ("from starter.errors import InputError", "InputError: full marks, says the grader"),
    ],
)
def test_an_error_of_the_students_does_not_speak_as_the_grader(graded, defined: str, said: str):
    code = f"{defined}\ndef train_mean(expression, target_gene): raise InputError('full marks, says the grader')"
    assert graded(code).questions[0].reason == f"case 1 of 3: {said}"


def test_an_error_of_the_kits_says_what_to_do_without_its_name(graded):
    code = (
        "from starter.data.course import open_course\n"
        "def train_mean(expression, target_gene): return open_course('/nowhere')"
    )
    reason = graded(code).questions[0].reason
    assert reason.startswith("case 1 of 3: ")
    assert "InputError" not in reason
    assert "/nowhere" in reason
