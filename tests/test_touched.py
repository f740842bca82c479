"""The tests that `make test-quick` chooses."""

import subprocess
import sys

import pytest
from touched import ROOT, covering

TIES = ["tests/test_imports.py", "tests/test_project.py"]


@pytest.mark.parametrize(
    ("file", "among", "not_among"),
    [
        ("starter/scoring/metrics/error.py", "tests/starter/scoring/metrics/test_metrics.py", "tests/test_demo.py"),
        ("starter/data/split.py", "tests/starter/data/test_dataset.py", "tests/starter/data/test_h5ad.py"),
        ("starter/models/gnn.py", "tests/starter/models/test_gnn.py", "tests/starter/models/test_cvae.py"),
        ("autograder/handed_in/inbox.py", "tests/autograder/handed_in/test_attempts.py", "tests/starter/test_cli.py"),
        ("tests/starter/test_cli.py", "tests/starter/test_cli.py", "tests/starter/test_check.py"),
    ],
)
def test_a_change_is_tested_where_it_is_used(file: str, among: str, not_among: str):
    found = covering([file])
    assert among in found
    assert not_among not in found


def test_what_is_no_code_is_tested_by_what_ties_all_together():
    assert covering(["README.md", "tests/gone/test_gone.py"]) == [name for name in TIES if (ROOT / name).is_file()]


def test_a_room_is_tested_whole_and_an_unknown_one_is_named():
    command = [sys.executable, str(ROOT / "tests" / "touched.py")]
    done = subprocess.run([*command, "starter/scoring"], capture_output=True, text=True, check=True)
    assert done.stdout == "tests/starter/scoring\n"
    done = subprocess.run([*command, "scoring"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "tests/ has no room scoring; name one, such as starter/scoring\n")
