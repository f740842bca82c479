import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HOURS = dict(re.findall(r"\| `(\d\d_\w+)`[^,|]*, ([\d.]+) \|", (ROOT / "docs" / "syllabus.md").read_text()))


def test_every_stage_has_its_week():
    assert list(HOURS) == sorted(path.name for path in (ROOT / "solutions").iterdir())


@pytest.mark.parametrize("stage", HOURS)
def test_hours_are_those_that_the_notebook_says(stage: str):
    text = (ROOT / "assignments" / stage / f"{stage}.ipynb").read_text()
    minutes = re.findall(r"\| your time \| about (\d+) minutes", text)
    assert len(minutes) == 1
    assert float(HOURS[stage]) == pytest.approx(int(minutes[0]) / 60, abs=0.5)
