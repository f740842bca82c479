from pathlib import Path

import pytest

from autograder.course import read_course
from autograder.release.leftovers import leftovers
from autograder.release.notebooks import release

REAL = 'screen = "mine.h5ad"'
SPLIT = 'split = "split.json"'


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("[data]\nhidden = 4\npublic = 2\npreset = 'hard'\ndoubles = 3\nseed = 1", []),
        (f"[data]\n{REAL}\nhidden = 4\nseed = 1\npriors = 'priors'", []),
        (
            f"[data]\n{REAL}\n{SPLIT}\nhidden = 48",
            ["[data] hidden has no effect, since the split split.json says who is hidden and who is public"],
        ),
        (
            f"[data]\n{REAL}\n{SPLIT}\nseed = 1",
            ["[data] seed has no effect, since neither the screen mine.h5ad nor the split split.json is drawn"],
        ),
        (
            f"[data]\n{REAL}\npreset = 'default'\nsize = 'course'\ndoubles = 0",
            [
                f"[data] {key} has no effect, since the screen mine.h5ad is not simulated"
                for key in ("preset", "size", "doubles")
            ],
        ),
        ("[data]\npriors = 'mine'", ["[data] priors has no effect, since a simulated screen makes its own"]),
        (
            "[late]\npoints_per_day = 1\n[stages.01_a]\nextensions = {ada = 24}",
            [
                "[stages.01_a] extensions have no effect (ada), since the stage has no deadline",
                "[late] points_per_day has no effect, since no stage has a deadline",
            ],
        ),
        (
            "[late]\ngrace_hours = 1\n[stages.01_a]\ndeadline = 2027-01-15T23:59:00Z",
            ["[late] grace_hours has no effect, since points_per_day is 0"],
        ),
    ],
)
def test_what_has_no_effect_is_said(tmp_path: Path, settings: str, said: list[str]):
    (tmp_path / "course.toml").write_text(f'[course]\nname = "c"\n{settings}\n')
    assert leftovers(read_course(tmp_path)) == [f"course.toml: {sentence}" for sentence in said]


def test_release_says_it(course):
    path = course.root / "course.toml"
    path.write_text(path.read_text() + "\n[late]\ngrace_hours = 2\n")
    said = []
    release(read_course(course.root), said.append)
    assert said[0] == "note: course.toml: [late] grace_hours has no effect, since points_per_day is 0"
