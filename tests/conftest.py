"""What several rooms' tests share: small simulated screens, a released course, real data where it is at hand."""

import dataclasses
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import anndata
import filelock
import pytest
from copies import copied, give_secret
from numpy._core._multiarray_umath import __cpu_dispatch__

from autograder.course import Course, read_course
from starter.data import dataset
from starter.simulation import biology
from starter.simulation.setup import Size
from starter.simulation.write import write

sys.modules["rfc3987_syntax"] = None  # a grammar of web addresses, which nbformat takes two seconds to build

STAGE = Path(__file__).parent / "stage"
"""A small stage, with a question and a prediction, so that what grading does is tested quickly."""
SMALL = Size(targets=24, genes=200, controls=300, min_cells=60, depth=12_000)


@pytest.fixture(scope="session")
def old_processor() -> dict[str, str]:
    """The environment of a process in which numpy, torch and their libraries compute as twenty years ago.

    They add in another order there, and put equal values in another order when they sort.
    """
    return {
        **os.environ,
        "OPENBLAS_CORETYPE": "Prescott",
        "NPY_DISABLE_CPU_FEATURES": " ".join(__cpu_dispatch__),
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
    }


@pytest.fixture(scope="session")
def vcc_data() -> Path:
    return _folder("VCC_DATA", "real data sets")


@pytest.fixture(scope="session")
def vcc_parity() -> Path:
    return _folder("VCC_PARITY", "the reference tools' answers")


def _folder(variable: str, what: str) -> Path:
    if not os.environ.get(variable):
        pytest.skip(f"{variable} is not set: it names the folder with {what}")
    return Path(os.environ[variable])


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Give a function that fills a folder once for all of pytest's workers, which read it and write nothing there."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder, done = shared / f"once-{name}", shared / f"once-{name}.done"
        with filelock.FileLock(shared / f"once-{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed half-way
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def small_path(once: Callable) -> Path:
    """The file of a small simulated screen: 24 targets, 200 genes, effects so strong that these show them."""
    simulation = biology.draw(seed=1, size=SMALL)
    strong = dataclasses.replace(simulation, effects=2 * simulation.effects)
    folder = once("screen", lambda folder: write(strong, folder))
    return folder / "simulated_default.h5ad"


@pytest.fixture
def small_screen(small_path: Path) -> anndata.AnnData:
    return dataset.read_screen(small_path)


@pytest.fixture(scope="session")
def papalexi(vcc_data: Path, once: Callable) -> Path:
    """The folder of the real screen, built from its raw files."""
    from data_scripts.screens import papalexi

    return once("papalexi", papalexi.build)


COURSE = """
[course]
name = "test-course"

[data]
screen = "screen/simulated_default.h5ad"
priors = "screen/priors"
seed = 3
hidden = 6
public = 4

[limits]
seconds = 60

[stages.04_baselines]
title = "Baselines"
prediction = {}
"""


@pytest.fixture(scope="session")
def released(small_path: Path, once: Callable) -> Course:
    """A course of the small stage on the small screen, released. Read only; `course` gives a copy to write to."""
    from autograder.questions.question import questions_of
    from autograder.release.notebooks import release
    from autograder.sandbox import contents

    def fill(root: Path) -> None:
        shutil.copytree(small_path.parent, root / "screen")
        for folder in ("solutions", "questions"):
            shutil.copytree(STAGE / folder, root / folder)
        (root / "course.toml").write_text(COURSE)
        give_secret(root)
        course = read_course(root)
        release(course)
        for stage in course.stages:  # copies of the course take the compiled kit along
            for without in {(), *(question.without for question in questions_of(course, stage))}:
                contents.kit(course, without)

    return read_course(once("released", fill))


@pytest.fixture
def course(released: Course, tmp_path: Path) -> Course:
    """A released course to write to."""
    return copied(released, tmp_path / "course")
