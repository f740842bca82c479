"""The students' kit holds answers back until a stage is over, and works without them."""

import ast
import functools
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest

from autograder.course import Course, read_course
from autograder.release.student_kit import answers_of, last_moment, write_kit
from starter.errors import InputError

ROOT = Path(__file__).parents[3]
STAGES = sorted(path.name for path in (ROOT / "solutions").iterdir())
COURSE = '[course]\nname = "kit"\n\n[stages.04_baselines]\n\n[stages.05_cvae]\n'
CVAE = "starter.models.cvae"
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
