"""The students' kit holds answers back until a stage is over, and works without them."""

import ast
import functools
import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from typer.testing import CliRunner

from autograder.cli import app
from autograder.course import Course, read_course
from autograder.questions.points import released_points
from autograder.questions.question import Question, questions_of
from autograder.release.student_kit import answers_of, last_moment, write_kit
from starter.errors import InputError

ROOT = Path(__file__).parents[3]
STAGES = sorted(path.name for path in (ROOT / "solutions").iterdir())
COURSE = '[course]\nname = "kit"\n\n[stages.04_baselines]\n\n[stages.05_cvae]\n'
CVAE = "starter.models.cvae"
STAGE = "04_baselines"
"""Of the small course."""
COMMAND = "from starter.cli import main; main()"


def held_back() -> list[str]:
    """List all that the kit's own course holds back, which has no deadlines."""
    return sorted({module for modules in answers_of(read_course(ROOT)).values() for module in modules})


@pytest.fixture(scope="module")
def folder(released: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A students' kit of a small course, unpacked, without the answers of any stage."""
    folder = tmp_path_factory.mktemp("kit")
    write_kit(released, ROOT, folder / "kit.zip", held_back())
    with zipfile.ZipFile(folder / "kit.zip") as archive:
        archive.extractall(folder)
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the unpacked kit's own `starter`."""
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def course_with(tmp_path: Path, settings: str) -> Course:
    (tmp_path / "course.toml").write_text(COURSE + settings)
    return read_course(tmp_path)


def test_answers_are_held_back_until_the_last_student_is_done(tmp_path: Path):
    end = datetime(2026, 10, 1, 21, 59, tzinfo=UTC)
    settings = "deadline = 2026-10-01T23:59:00+02:00\nextensions = { ada = 48, bob = 2.5 }\n"
    course = course_with(tmp_path, settings)
    assert last_moment(course.stages["05_cvae"]) == end + timedelta(hours=48)
    for hours, there in ((-1, True), (47, True), (49, False)):
        assert (CVAE in answers_of(course, now=end + timedelta(hours=hours)).get("05_cvae", [])) == there
    assert "04_baselines" in answers_of(course, now=end + timedelta(days=999))  # it has no deadline


def test_a_stage_without_a_deadline_is_revealed_by_name(tmp_path: Path):
    course = course_with(tmp_path, "")
    assert answers_of(course)["05_cvae"] == [CVAE]
    assert list(answers_of(course, ["05_cvae"])) == ["04_baselines"]
    assert answers_of(course, course.stages) == {}
    with pytest.raises(InputError, match="no stage '06_gnn'"):
        answers_of(course, ["06_gnn"])


def test_a_module_that_is_not_there_cannot_be_held_back(released: Course, tmp_path: Path):
    with pytest.raises(InputError, match=r"starter has no module starter.models.lost to hold back; mend"):
        write_kit(released, ROOT, tmp_path / "kit.zip", ["starter.models.lost"])
    assert not (tmp_path / "kit.zip").exists()


def kit_of(course: Course, *arguments: str) -> tuple[str, set[str]]:
    """Pack a kit by the command, and give what it says and the modules in it."""
    out = course.root / "kit.zip"
    done = CliRunner().invoke(app, ["student-kit", *arguments, "--course", str(course.root), "--out", str(out)])
    assert done.exit_code == 0, done.output
    with zipfile.ZipFile(out) as archive:
        return done.output, {name for name in archive.namelist() if name.startswith("starter/")}


def test_the_command_says_what_is_held_back_and_reveals_it(course: Course):
    file = course.root / "questions" / f"{STAGE}.py"
    more = f"from dataclasses import replace\nQUESTIONS = (replace(QUESTIONS[0], held_back=({CVAE!r},)),)\n"
    file.write_text(file.read_text() + more)
    said, modules = kit_of(course)
    assert f"{STAGE}: held back until --reveal {STAGE}: no deadline: {CVAE}" in said
    for revealed in ([], [STAGE]):
        said, all_modules = kit_of(course, "--reveal", *revealed)
        assert all_modules - modules == {"starter/models/cvae.py"}
        assert "held back" not in said
    settings = course.root / "course.toml"
    text = settings.read_text()
    for day, held in (("2099-10-01", True), ("2020-10-01", False)):
        settings.write_text(text.replace(f"[stages.{STAGE}]", f"[stages.{STAGE}]\ndeadline = {day}T21:59:00+02:00"))
        said, now = kit_of(course)
        assert (now == modules) == held
        assert (f"{STAGE}: held back until {day} 19:59:00 UTC ({day} 21:59:00 +0200): {CVAE}" in said) == held
    refused = CliRunner().invoke(app, ["student-kit", STAGE, "--course", str(course.root)])
    assert str(refused.exception) == f"stages are named with --reveal: autograder student-kit --reveal {STAGE}"


def test_what_is_held_back_is_not_in_the_archive_and_all_else_is(folder: Path):
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "starter").rglob("*.py")}
    there = {path.relative_to(folder).as_posix() for path in (folder / "starter").rglob("*.py")}
    assert modules - there == {f"{module.replace('.', '/')}.py" for module in held_back()}
    assert f"{CVAE.replace('.', '/')}.py" in modules - there


def test_every_module_of_the_kit_can_be_imported_without_what_is_held_back(folder: Path):
    code = (
        "import importlib, pkgutil, starter\n"
        "for about in pkgutil.walk_packages(starter.__path__, 'starter.'):\n"
        "    importlib.import_module(about.name)\n"
        "print(starter.__path__[0])"
    )
    done = run(folder, "-c", code)
    assert done.stdout.splitlines()[-1:] == [str(folder / "starter")], done.stderr


@functools.cache
def top_names(module: Path) -> set[str]:
    """List what a module binds outside of functions and classes."""
    names = set()
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        else:
            names |= {
                part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
            }
    return names


def lost(folder: Path, code: str) -> list[str]:
    """List what code takes of `starter` that a kit does not have: modules, and names in them."""

    def place(module: str) -> Path | None:
        path = folder.joinpath(*module.split("."))
        options = (path.with_suffix(".py"), path / "__init__.py")
        return next((option for option in options if option.is_file()), None)

    tree = ast.parse(code)
    modules, found = {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("starter."):
            for alias in node.names:
                home, module = place(str(node.module)), place(f"{node.module}.{alias.name}")
                if module:
                    modules[alias.asname or alias.name] = module
                elif home is None or alias.name not in top_names(home):
                    found.append(f"{node.module}.{alias.name}")
        assert not isinstance(node, ast.Import) or not any(part.name.startswith("starter") for part in node.names)
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    taken = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    for node in taken:
        name = node.value.id
        if name in modules.keys() - bound and node.attr not in top_names(modules[name]):
            found.append(f"{name}.{node.attr}")
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_notebook_takes_of_starter_is_in_the_kit(folder: Path, stage: str):
    notebook = nbformat.read(ROOT / "solutions" / stage / f"{stage}.ipynb", as_version=4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert "from starter.check import check" in code
    assert lost(folder, code) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from starter.models import cvae", ["starter.models.cvae"]),
        ("from starter.models.cvae import kl", ["starter.models.cvae.kl"]),
        ("def f():\n    from starter.models import baselines\n    baselines.lost()", ["baselines.lost"]),
        ("from starter import plots\nplots.agreement(1)", []),
        ("from starter.models import tuning as t\nt.folds", []),
    ],
)
def test_a_name_that_the_kit_does_not_have_is_found(folder: Path, code: str, found: list[str]):
    assert lost(folder, code) == found


@pytest.mark.slow
def test_a_model_can_be_tried_with_the_kit(folder: Path):
    """Fit, predict, make cells, check, score and compare, on the course's own data, beside models of the kit."""
    for arguments in (["--example"], ["my_model.py", "--course", "data/test-course", "--out", "tried"]):
        done = run(folder, "-c", COMMAND, "try", *arguments)
        assert done.returncode == 0, done.stderr
    assert "prediction.h5ad (checked: no error)" in done.stdout
    for arguments in (["check", "tried/prediction.h5ad", "--course", "data/test-course"], ["metrics"], ["--help"]):
        done = run(folder, "-c", COMMAND, *arguments)
        assert done.returncode == 0, done.stderr


def test_a_model_that_is_not_there_is_named_with_the_reason(folder: Path):
    done = run(folder, "-c", COMMAND, "bench", "conditional VAE", "--out", "bench")
    said = (
        "error: the model 'conditional VAE' comes after the deadline of 05_cvae, whose notebook builds it; take another"
    )
    assert (done.returncode, done.stderr[: len(said)]) == (2, said)
    code = (
        "from starter.models import kit\n"
        "assert kit.LATER.keys() == kit.BUILT_IN_NOTEBOOKS.keys()\n"
        "assert not kit.LATER.keys() & kit.KIT.keys()\n"
        "print(kit.model_names())"
    )
    done = run(folder, "-c", code)
    assert done.returncode == 0, done.stderr
    assert "; conditional VAE comes after the deadline of 05_cvae, whose notebook builds it" in done.stdout


def test_each_model_of_the_kit_names_the_stage_that_holds_its_module_back():
    from starter.models import kit

    assert kit.LATER == {}
    stages = {module: stage for stage, modules in answers_of(read_course(ROOT)).items() for module in modules}
    for stage, module in kit.BUILT_IN_NOTEBOOKS.values():
        assert stages[module] == stage


# -- what answers which question, and what of it stays -----------------------------------------------------------------

OTHER_THINGS = ("difference",)
"""Blanks whose name something else has, too."""
KNOWN = re.compile(r"`(\w+)` \((\d+)\): `(starter(?:\.\w+)+)\.(\w+)`")
"""A question, its points, and where the answer stays, in a column of docs/instructor.md."""


class Stays(NamedTuple):
    """Something in `starter` that a question asks for, and that students have."""

    stage: str
    question: str
    points: int
    module: str
    name: str


def read_columns() -> tuple[list[Stays], list[Stays]]:
    """Read what docs/instructor.md says is copied as it is, and what is the idea in another form."""
    text = (ROOT / "docs" / "instructor.md").read_text()
    table = text.partition("| notebook | copied as it is |")[2].partition("\n\n")[0].splitlines()[2:]
    columns: tuple[list[Stays], list[Stays]] = ([], [])
    for row in table:
        start, *parts = (part.strip() for part in row.strip("| ").split(" | "))
        (stage,) = (stage for stage in STAGES if stage.startswith(start))
        for column, part in zip(columns, parts, strict=True):
            found = [Stays(stage, name, int(points), *where) for name, points, *where in KNOWN.findall(part)]
            assert len(found) == (0 if part == "–" else part.count(";") + 1), part
            column += found
    return columns


def questions() -> dict[tuple[str, str], Question]:
    course = read_course(ROOT)
    return {(stage, question.name): question for stage in STAGES for question in questions_of(course, stage)}


def test_what_stays_is_there_and_has_the_points_that_are_said():
    as_it_is, in_another_form = read_columns()
    assert len(as_it_is) + len(in_another_form) >= 20
    for stays in (*as_it_is, *in_another_form):
        assert stays.name in top_names(ROOT / f"{stays.module.replace('.', '/')}.py"), stays
        assert released_points(read_course(ROOT), stays.stage)[stays.question] == stays.points
        assert stays.module not in held_back()


def test_the_page_names_what_is_held_back():
    text = (ROOT / "docs" / "instructor.md").read_text()
    (paragraph,) = (part for part in text.split("\n\n") if part.startswith("Held back are"))
    assert sorted(re.findall(r"`(starter[\w.]+)`", paragraph)) == held_back()


def test_what_has_the_name_of_a_blank_is_held_back_or_listed():
    """A list that is computed: names that solutions define, and that `starter` defines too."""
    there: dict[str, list[str]] = {}
    for path in (ROOT / "starter").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for name in top_names(path):
            there.setdefault(name.strip("_").casefold(), []).append(module)
    listed = {(stays.stage, stays.question) for column in read_columns() for stays in column}
    asked, unsaid, held = questions(), [], 0
    for (stage, name), question in asked.items():
        if name.casefold() in there and question.inputs is not None:
            held += bool(question.held_back)
            if not question.held_back and (stage, name) not in listed and name not in OTHER_THINGS:
                unsaid.append((stage, name, there[name.casefold()]))
    assert unsaid == []
    assert held >= 15


ANSWERING = """
import json, os, sys
from dataclasses import replace
import answering, starter
assert starter.__path__ == [os.path.join(sys.argv[1], "starter")]
found = {
    f"{stage} {name}": things
    for stage in sys.argv[2:]
    for name, things in answering.answering(
        [replace(question, without=()) for question in answering.questions_of(stage).values()]
    ).items()
}
with open("found.json", "w") as file:
    json.dump(found, file)
"""


@pytest.mark.slow
def test_nothing_in_the_kit_answers_a_question_but_what_is_listed(folder: Path, tmp_path: Path):
    """Everything in the unpacked kit is called with every question's inputs, whatever is hidden while grading."""
    pytest.importorskip("torch")
    paths = (folder, ROOT / "tests" / "autograder", ROOT)
    done = subprocess.run(
        [sys.executable, "-c", ANSWERING, str(folder), *STAGES],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        stdout=subprocess.DEVNULL,  # what is called prints
        check=False,
    )
    assert done.returncode == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(found) > 60
    as_it_is, _ = read_columns()
    due = {f"{stays.stage} {stays.question}": [f"{stays.module}.{stays.name}"] for stays in as_it_is}
    assert {name: things for name, things in found.items() if things} == due


@pytest.mark.slow
@pytest.mark.parametrize("module", held_back())
def test_each_module_that_is_held_back_would_answer(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("torch")
    from answering import answering

    monkeypatch.chdir(tmp_path)
    asked = [replace(question, without=()) for question in questions().values() if module in question.held_back]
    assert any(answering(asked, only=module).values())
