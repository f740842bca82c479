"""What docs/challenge.md tells a challenger to type works as it stands, on a smaller screen."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from commands import run

from starter.simulation.setup import SIZES

PAGE = Path(__file__).parents[2] / "docs" / "challenge.md"
TINY = replace(SIZES["vcc-small"], targets=48, genes=220, controls=150, min_cells=24)


def story() -> str:
    """The page up to where it becomes a reference."""
    text = PAGE.read_text(encoding="utf-8")
    return text[: text.index("## The two seasons")]


def commands(text: str) -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which every command of the story was run, one after the other."""
    folder = tmp_path_factory.mktemp("challenger")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SIZES, "vcc-small", TINY)
        for program, *arguments in commands(story()):
            answer = run(program, *arguments, cwd=folder)
            assert answer.returncode == 0, f"{program} {' '.join(arguments)}\n{answer.stdout}\n{answer.stderr}"
    return folder


def test_every_command_of_the_story_works(folder: Path):
    made = {path.name for path in folder.iterdir()}
    assert {
        "knn.vcc",
        "ridge.vcc",
        "mine.parquet",
        "zero_shot.vcc",
        "truth",
        "truth2026",
        "bench",
        "my_model.py",
    } <= made
    assert (folder / "scores" / "knn" / "scorecard.html").exists()
    assert (folder / "scores2026" / "zero_shot" / "scorecard.html").exists()


def test_the_python_way_gives_the_upload_of_the_commands(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    (block,) = re.findall(r"```python\n(.*?)```", story(), re.DOTALL)
    names: dict = {}
    exec(compile(block, str(PAGE), "exec"), names)
    assert (folder / "python.vcc").read_bytes() == (folder / "knn.vcc").read_bytes()
    assert names["card"].overall is not None
