"""A small simulated course on which published models train within minutes on a laptop's processor."""

from pathlib import Path

from autograder.course import FILE, Course, read_course
from autograder.release.data import release_data
from starter.simulation import biology
from starter.simulation.setup import Size
from starter.simulation.write import write

SIZE = Size(targets=120, genes=300, controls=800, min_cells=40, depth=12_000)
HIDDEN, PUBLIC, SEED = 40, 20, 11
SETTINGS = f"""[course]
name = "published-models"

[data]
screen = "screen/simulated_default.h5ad"
priors = "screen/priors"
seed = {SEED}
hidden = {HIDDEN}
public = {PUBLIC}
"""


def make_course(root: Path) -> Course:
    """Simulate the screen, cut it, and prepare the truth of its hidden part.

    Parameters
    ----------
    root
        The course's folder; what an earlier run made there is used again.
    """
    if not (root / FILE).is_file():
        root.mkdir(parents=True, exist_ok=True)
        write(biology.draw(seed=SEED, size=SIZE), root / "screen")
        (root / FILE).write_text(SETTINGS, encoding="utf-8")
    course = read_course(root)
    if not course.public_folder.exists():
        release_data(course, print)
    return course
