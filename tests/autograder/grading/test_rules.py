import ast
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import nbformat
import numpy as np
import pytest
from handing_in import STAGE, put_result, submit

from autograder.course import Course, read_course
from autograder.grading import batch, rules
from autograder.grading.grade import grade_stage
from autograder.grading.results import QuestionResult, current_result
from autograder.grading.rules import JUDGES, QUESTIONS, SCORES, hash_rules
from autograder.handed_in.submissions import Submission
from autograder.questions.question import PREDICTION
from starter.errors import InputError
from starter.scoring.truth.opened import open_truth

REPO = Path(__file__).parents[3]
JUDGING = [
    "autograder/grading/grade.py",
    "autograder/grading/judge.py",
    "autograder/sandbox/run.py",
    "autograder/sandbox/inside/read_prediction.py",
    "autograder/handed_in/notebook.py",
    "autograder/questions/question.py",
    "starter/answers/comparators.py",
]
SCORING = [
    "starter/scoring/metrics/error.py",
    "starter/scoring/scorecard.py",
    "starter/prediction/check.py",
    "starter/data/scan.py",
    "starter/statistics/ranksum.py",
]
BESIDE = [
    "autograder/gradebook/book.py",
    "autograder/handed_in/inbox.py",
    "autograder/questions/03_metrics/mae.py",
    "autograder/release/data.py",
    "starter/models/baselines.py",
    "starter/plots/style.py",
    "starter/priors/graphs.py",
    "starter/training/loop.py",
]
NO_POINTS = {
    *("autograder/folders.py", "autograder/settings.py", "autograder/text.py"),
    *("starter/errors.py", "starter/files.py", "starter/progress.py"),
    *("starter/plots/effects.py", "starter/plots/style.py"),
    # of a rehearsal, which keeps what a solved notebook gave
    *("starter/blanks/fingerprint.py", "starter/blanks/kept.py", "starter/blanks/stand_in.py"),
    # an empty room's docstring
    *("autograder/__init__.py", "autograder/questions/__init__.py", "starter/__init__.py"),
    *("autograder/handed_in/__init__.py", "starter/plots/__init__.py"),
}
"""What judging code imports and no points depend on: names of folders, words, the writing of files, pictures."""


@pytest.fixture(scope="module")
def copied_kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("kit")
    for room in ("autograder", "starter"):
        shutil.copytree(rules.KIT / room, root / room)
    return root


@pytest.fixture
def kit(copied_kit: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the kit to change, which is taken for the kit that grades."""
    monkeypatch.setattr(rules, "KIT", copied_kit)
    return copied_kit


@pytest.fixture
def without_prediction(course: Course) -> Course:
    """The course, whose stage asks for no prediction."""
    settings = course.root / "course.toml"
    settings.write_text(settings.read_text().replace("prediction = {}\n", ""))
    for room in ("solutions", "assignments"):
        path = course.root / room / STAGE / f"{STAGE}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        notebook.cells = [
            cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") != PREDICTION
        ]
        nbformat.write(notebook, path)
    return read_course(course.root)


def graded(course: Course) -> None:
    submit(course, "ada")
    put_result(course, "ada", [QuestionResult("train_mean", 3.0, 5.0, "", 0.0)])


def is_kept(course: Course) -> bool:
    ada = Submission(course, STAGE, "ada")
    return current_result(ada, hash_rules(course, STAGE)) is not None


def kept_after(changes: Sequence[str], kit: Path, is_kept: Callable[[], bool]) -> dict[str, bool]:
    """Change a line of one module after the other, and see each time whether the grade holds."""
    kept = {}
    for changed in changes:
        before = (kit / changed).read_text()
        (kit / changed).write_text(f"{before}\nCHANGED = 1\n")
        kept[changed] = is_kept()
        (kit / changed).write_text(before)
    assert is_kept()
    return kept


def test_a_line_of_what_judges_has_a_submission_graded_again(course: Course, kit: Path):
    graded(course)
    kept = kept_after([*JUDGING, *SCORING, *BESIDE], kit, lambda: is_kept(course))
    assert kept == {**dict.fromkeys([*JUDGING, *SCORING], False), **dict.fromkeys(BESIDE, True)}


def test_what_scores_changes_no_grade_without_a_prediction(without_prediction: Course, kit: Path):
    graded(without_prediction)
    kept = kept_after([*JUDGING, *SCORING, *BESIDE], kit, lambda: is_kept(without_prediction))
    assert kept == {**dict.fromkeys(JUDGING, False), **dict.fromkeys([*SCORING, *BESIDE], True)}


def test_a_batch_runs_again_what_was_graded_by_other_rules(
    sandbox_here: None, course: Course, kit: Path, monkeypatch: pytest.MonkeyPatch
):
    graded(course)
    ran: list[str] = []

    def note(work: object, submissions: Sequence[Submission], *given: object) -> Iterator[tuple[Submission, Exception]]:
        ran.extend(submission.student for submission in submissions)
        yield from ((submission, InterruptedError()) for submission in submissions)

    monkeypatch.setattr(batch, "for_each", note)

    def is_kept() -> bool:
        ran.clear()
        results, failed = grade_stage(course, STAGE)
        assert (len(results), list(failed)) == ((0, ["ada"]) if ran else (1, []))
        return not ran

    kept = kept_after([JUDGING[0], SCORING[0], *BESIDE[-2:]], kit, is_kept)
    assert list(kept.values()) == [False, False, True, True]


def test_what_python_keeps_and_times_change_no_grade(course: Course, kit: Path):
    graded(course)
    kept = kit / "autograder" / "grading" / "__pycache__"
    kept.mkdir(exist_ok=True)
    (kept / "judge.cpython-399.pyc").write_bytes(b"anything")
    (kit / "starter" / "scoring" / "scorecard.html").write_text("another page")
    (kit / "autograder" / "grading" / "judge.py").touch()
    assert is_kept(course)


def test_every_file_of_the_kits_questions_counts_for_their_stage_alone(course: Course, kit: Path):
    stage = "03_metrics"
    settings = course.root / "course.toml"
    settings.write_text(f"{settings.read_text()}\n[stages.{stage}]\n")
    for room in ("solutions", "assignments"):
        (course.root / room / stage).mkdir()
        name = f"{room}/{stage}/{stage}.ipynb"
        shutil.copyfile(REPO / name, course.root / name)
    course = read_course(course.root)
    files = [f"{QUESTIONS}/{stage}/{name}.py" for name in ("mae", "shared", "__init__")]
    before = hash_rules(course, stage)
    assert not any(kept_after(files, kit, lambda: hash_rules(course, stage) == before).values())
    others = hash_rules(course, STAGE)
    assert all(kept_after(files, kit, lambda: hash_rules(course, STAGE) == others).values())


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("course.toml", "seconds = 60", "seconds = 50"),
        ("course.toml", "prediction = {}", 'prediction = {rubric = [{metric = "overall", full = 0.5}]}'),
        ("course.toml", "prediction = {}", 'prediction = {profile = "vcc2025"}'),
        ("course.toml", "prediction = {}", 'prediction = {ahead = ["overall"]}'),
        (f"solutions/{STAGE}/{STAGE}.ipynb", '"points": 5', '"points": 6'),
        (f"assignments/{STAGE}/{STAGE}.ipynb", "import", "import  "),
        (f"questions/{STAGE}.py", "what a model must beat", "what any model must beat"),
        ("grading/test-course/release.json", '"seed"', '"other": 1, "seed"'),
        ("grading/test-course/truth/truth.json", '"seed": 0', '"seed": 1'),
        ("grading/test-course/truth/truth.json", '"arrays_sha256": "', '"arrays_sha256": "0'),
        ("course.toml", 'title = "Baselines"', 'title = "What to beat"'),
    ],
)
def test_what_points_depend_on_in_a_course_has_a_submission_graded_again(course: Course, file: str, old: str, new: str):
    graded(course)
    path = course.root / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert is_kept(read_course(course.root)) == ("title" in old)


def test_the_truth_is_known_by_its_arrays_also_where_it_does_not_name_them(course: Course):
    folder = course.hidden_folder / "truth"
    about = json.loads((folder / "truth.json").read_text())
    named = open_truth(folder).digest()
    (folder / "truth.json").write_text(json.dumps({**about, "arrays_sha256": None}))
    unnamed = open_truth(folder).digest()
    array = next(folder.rglob("profiles.npy"))
    np.save(array, np.load(array) + 1)
    assert len({named, unnamed, open_truth(folder).digest()}) == 3


def test_a_truth_that_cannot_be_used_is_nobodys_0(sandbox_here: None, course: Course):
    submit(course, "ada")
    (course.hidden_folder / "truth" / "truth.json").write_text("{}")
    with pytest.raises(InputError, match="truth has the layout of version None, .*; build the truth again"):
        grade_stage(course, STAGE)
    assert not Submission(course, STAGE, "ada").result.exists()


def imported(path: Path) -> Iterator[Path]:
    """Give the modules of the kit that a module imports, with the rooms they lie in."""
    room = path.relative_to(rules.KIT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*room[: len(room) - node.level + 1], *([node.module] if node.module else [])])
            base = base if node.level else node.module
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            found = rules.KIT.joinpath(*name.split("."))
            if name.split(".")[0] in ("autograder", "starter"):
                yield from (file for file in (found.with_suffix(".py"), found / "__init__.py") if file.is_file())


def test_what_judges_imports_only_what_judges_or_what_gives_no_points():
    rooms = [rules.KIT / room for room in (*JUDGES, *SCORES)]
    judges = [path for room in rooms for path in (sorted(room.rglob("*.py")) or [room])]
    asked = sorted((rules.KIT / QUESTIONS).glob("[0-9]*/*.py"))
    beside = {
        file.relative_to(rules.KIT).as_posix()
        for path in (*judges, *asked)
        for file in imported(path)
        if file not in judges and file.parent != path.parent
    }
    assert beside <= NO_POINTS


def test_rules_are_read_once_for_a_batch(sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch):
    for student in ("ada", "bob", "cyd"):
        submit(course, student)
    read: list[Path] = []

    def noted(path: Path) -> str:
        read.append(path)
        return "0" * 64

    monkeypatch.setattr(rules, "sha256", noted)
    monkeypatch.setattr("autograder.grading.grade.ask_questions", lambda *given: ({}, []))
    results, _ = grade_stage(course, STAGE)
    assert len(results) == 3
    assert len(read) == len(set(read))
