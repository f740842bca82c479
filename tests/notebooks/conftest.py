"""The kit's own course on the demo's screen, released once for all tests of its notebooks."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import anndata
import pytest
from copies import give_secret

from autograder.course import Course, read_course
from autograder.release.notebooks import release
from starter.schema import BATCH, GUIDE
from starter.simulation import biology
from starter.simulation.setup import Size
from starter.simulation.write import write

ROOT = Path(__file__).parents[2]
DATA = '[data]\nscreen = "simulated"\nseed = 2\nhidden = 48\npublic = 24\n'


def lay_out(root: Path, data: str) -> Course:
    """Lay out the kit's course, all its stages and limits, on other data."""
    shutil.copytree(ROOT / "solutions", root / "solutions")
    text = (ROOT / "course.toml").read_text()
    _, start, stages = text.partition("[limits]")
    (root / "course.toml").write_text(f'[course]\nname = "kit"\n{data}\n{start}{stages}')
    give_secret(root)
    return read_course(root)


@pytest.fixture(scope="session")
def kit(once: Callable) -> Course:
    """The kit's course, released on the demo's screen. Read only; take a copy to write to."""
    return read_course(once("kit", lambda folder: release(lay_out(folder, DATA))))


@pytest.fixture(scope="session")
def real(papalexi: Path, once: Callable) -> Course:
    """The kit's course, released on the real screen. Read only; take a copy to write to."""
    files = 'screen = "screen/papalexi_thp1.h5ad"\nsplit = "screen/papalexi_thp1.split.json"\npriors = "screen/priors"'

    def fill(root: Path) -> None:
        shutil.copytree(papalexi, root / "screen")
        release(lay_out(root, f"[data]\n{files}\n"))

    return read_course(once("real", fill))


@pytest.fixture(scope="session")
def bare(once: Callable) -> Course:
    """The kit's course on a screen that knows no guides and no batches, without any table of genes. Read only."""

    def fill(root: Path) -> None:
        size = Size(targets=60, genes=400, controls=400, min_cells=40, depth=8_000)
        screen = anndata.read_h5ad(write(biology.draw(seed=3, size=size), root / "made"))
        screen.obs = screen.obs.drop(columns=[GUIDE, BATCH])
        (root / "screen").mkdir()
        screen.write_h5ad(root / "screen" / "simulated.h5ad")
        shutil.rmtree(root / "made")
        release(lay_out(root, '[data]\nscreen = "screen/simulated.h5ad"\nhidden = 14\npublic = 12\n'))

    return read_course(once("bare", fill))


@pytest.fixture
def like_the_challenge(tmp_path: Path) -> Course:
    """A course of notebook 09 alone on a simulated screen shaped as the challenge's: 150 measured, 50 hidden."""
    stage = "09_vcc_submission"
    course = lay_out(tmp_path, '[data]\npreset = "vcc"\nsize = "vcc-small"\nseed = 3\nhidden = 50\npublic = 25\n')
    for folder in (course.root / "solutions").iterdir():
        if folder.name != stage:
            shutil.rmtree(folder)
    before, *tables = re.split(r"(?m)^(?=\[stages\.)", (course.root / "course.toml").read_text())
    own = [table for table in tables if table.startswith(f"[stages.{stage}")]
    (course.root / "course.toml").write_text("".join([before, *own]))
    course = read_course(course.root)
    release(course)
    return course
