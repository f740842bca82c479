"""The kit's own course on the demo's screen, released once for all tests of its notebooks."""

import shutil
from pathlib import Path

import pytest

from autograder.course import Course, read_course
from autograder.release import release

ROOT = Path(__file__).parents[2]
DATA = '[data]\nscreen = "simulated"\nseed = 2\nhidden = 48\npublic = 24\n'


def lay_out(root: Path, data: str) -> Course:
    """Lay out the kit's course, all its stages and limits, on other data."""
    shutil.copytree(ROOT / "solutions", root / "solutions")
    text = (ROOT / "course.toml").read_text()
    _, start, stages = text.partition("[limits]")
    (root / "course.toml").write_text(f'[course]\nname = "kit"\n{data}\n{start}{stages}')
    return read_course(root)


@pytest.fixture(scope="session")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """The kit's course, released on the demo's screen. Read only; take a copy to write to."""
    course = lay_out(tmp_path_factory.mktemp("kit") / "course", DATA)
    release(course)
    return course


@pytest.fixture(scope="session")
def real(papalexi: Path, tmp_path_factory: pytest.TempPathFactory) -> Course:
    """The kit's course, released on the real screen."""
    root = tmp_path_factory.mktemp("real") / "course"
    shutil.copytree(papalexi, root / "screen")
    files = 'screen = "screen/papalexi_thp1.h5ad"\nsplit = "screen/papalexi_thp1.split.json"\npriors = "screen/priors"'
    course = lay_out(root, f"[data]\n{files}\n")
    release(course)
    return course
