"""Notebooks that try to earn points without a right answer."""

import pytest
from handing_in import RIGHT, WRONG

ATTACKS = {
    "every later cell becomes pass": "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])",
    "an AST transformer": (
        "import ast\n"
        "class Strip(ast.NodeTransformer):\n    def visit_Assert(self, node): return None\n"
        "get_ipython().ast_transformers.append(Strip())"
    ),
    "numpy says that all is close": "import numpy; numpy.isclose = numpy.allclose = lambda *a, **k: True",
    "the kit says that all is close": "from starter.check import Close; Close.fault = lambda *a: None",
    "json and values are patched": (
        "import json, starter.values as v\n"
        "json.dumps = lambda *a, **k: '[{\"value\": 1}]'\nv.encode = lambda value: b'x'"
    ),
    "the interpreter ends when asked": "import atexit, os; atexit.register(os._exit, 0)",
    "an error without a text": (
        "import starter.values as v\ncalls = v.encode\n"
        "v.encode = lambda value: calls([{'error': ''}] * 3 if isinstance(value, list) else value)"
    ),
    "errors are described by nothing": (
        "import sys\nsys.modules['__main__'].describe_error = lambda error: ''\n"
        "def train_mean(expression, target_gene): raise ValueError"
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
    result = graded("from starter.anchors import train_mean")
    assert result.points == 0
    assert "No module named 'starter.anchors'" in result.questions[0].reason
