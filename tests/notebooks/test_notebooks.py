import ast
import json
import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from autograder.course import Course, read_course
from autograder.folders import SUBMITTED
from autograder.grading.grade import grade_stage
from autograder.grading.results import Result
from autograder.questions.question import PREDICTION, PUBLIC_SEED, questions_of
from autograder.release.notebooks import release_notebook
from autograder.release.rehearsal import rehearse
from autograder.sandbox.ready import NoSandboxError, check_sandbox
from data_scripts.screens import summaries
from starter.answers import values
from starter.answers.comparators import NearEnough
from starter.assignment.record import read_record
from starter.assignment.stage import read_stage
from starter.blanks.blank import TEXT
from starter.blanks.kept import FOLDER
from starter.data.course import PRIORS_FOLDER
from starter.data.split import read_split

ROOT = Path(__file__).parents[2]
SUBMISSION = "09_vcc_submission"
"""Its prediction is scored as the challenge did."""
UNKNOWN_TARGETS = "targets are not in the vocabulary"
"""What notebook 08 warns of where few genes are seen in control cells."""
STAGES = sorted(path.name for path in (ROOT / "solutions").iterdir())


def cells_of(path: Path) -> list[dict]:
    return json.loads(path.read_text())["cells"]


def solution_of(stage: str) -> list[dict]:
    return cells_of(ROOT / "solutions" / stage / f"{stage}.ipynb")


def source_of(cell: dict) -> str:
    return "".join(cell["source"])


def prose(cell: dict) -> str:
    """Text of a cell without its headings."""
    return re.sub(r"(?m)^#.*", "", source_of(cell))


def is_check(cell: dict) -> bool:
    return cell["cell_type"] == "code" and cell["metadata"].get("nbgrader", {}).get("grade", False)


def test_every_stage_of_the_course_has_a_notebook():
    assert list(read_course(ROOT).stages) == STAGES


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("folder", ["solutions", "assignments"])
def test_outputs_are_stripped_and_ids_are_there(stage: str, folder: str):
    for cell in cells_of(ROOT / folder / stage / f"{stage}.ipynb"):
        assert cell["id"]
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.parametrize("stage", STAGES)
def test_the_committed_assignments_are_what_release_makes(stage: str, kit: Course):
    """Nobody edits assignments/ by hand."""
    made, committed = kit.root / "assignments" / stage, ROOT / "assignments" / stage
    names = {str(path.relative_to(committed)) for path in committed.rglob("*") if path.is_file()}
    questions = questions_of(kit, stage)
    texts = f"{stage}.ipynb", "checks/questions.json"
    assert names == {*texts, *(f"checks/{question.name}.npz" for question in questions)}
    for name in texts:
        assert (made / name).read_text() == (committed / name).read_text()
    for question in questions:
        new, old = ((folder / "checks" / f"{question.name}.npz").read_bytes() for folder in (made, committed))
        assert values.alike(new, old), question.name


@pytest.mark.parametrize("stage", STAGES)
def test_text_is_short_and_blanks_say_their_length(stage: str):
    lengths = []
    for cell in solution_of(stage):
        source = source_of(cell)
        if cell["cell_type"] == "markdown" and not cell["metadata"].get("nbgrader", {}).get("solution"):
            lengths.append(len(prose(cell).split()))
            assert lengths[-1] <= 60, source
        if "BEGIN SOLUTION" in source:
            before = source.split("### BEGIN SOLUTION")[0].rstrip().splitlines()[-1]
            n_lines = len(source.split("### BEGIN SOLUTION")[1].split("### END SOLUTION")[0].strip().splitlines())
            assert before.strip() == (f"# about {n_lines} lines" if n_lines > 1 else "# about 1 line")
    assert sorted(lengths)[len(lengths) // 2] <= 50


@pytest.mark.parametrize("stage", STAGES)
def test_a_section_asks_and_shows_the_own_attempt_before_the_verdict(stage: str):
    cells = solution_of(stage)
    headings = [line for cell in cells for line in source_of(cell).splitlines() if re.match(r"## \d", line)]
    assert 4 <= len(headings) <= 8
    assert [heading for heading in headings if not heading.endswith("?")] == []
    checked = [number for number, cell in enumerate(cells) if is_check(cell)]
    assert len(checked) >= 4
    for number in checked:
        blanks = [i for i in range(number) if "BEGIN SOLUTION" in source_of(cells[i])]
        between = cells[blanks[-1] + 1 : number]
        attempts = [cell for cell in between if "not-graded" in cell["metadata"].get("tags", [])]
        assert attempts, source_of(cells[number])
    points = sum(cell["metadata"].get("nbgrader", {}).get("points", 0) for cell in cells)
    assert 10 <= points <= 34


@pytest.mark.parametrize("stage", STAGES)
def test_it_ends_with_how_far_one_is(stage: str):
    last = solution_of(stage)[-1]
    assert last["metadata"]["tags"] == ["not-graded"]
    assert source_of(last) == "from starter.assignment.progress import progress\n\nprogress()"


def execute(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    return client.execute(env={**os.environ, "VCC_COURSE": ""})


@pytest.fixture
def copy(kit: Course, tmp_path: Path) -> Course:
    shutil.copytree(kit.root, tmp_path / "course", ignore=shutil.ignore_patterns("screen"))
    return read_course(tmp_path / "course")


def run_solved(course: Course, stage: str) -> str:
    """Run the solved notebook where students work, see that checks are content and figures drawn, give its text."""
    folder = course.root / "assignments" / stage
    done = execute(nbformat.read(course.root / "solutions" / stage / f"{stage}.ipynb", as_version=4), folder)
    outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in outputs)
    for question in questions_of(course, stage):
        n_cases = len(question.cases(PUBLIC_SEED, course.public_folder))
        assert re.search(rf"^{question.name}: (right in all {n_cases} cases|.*, as expected)", text, re.MULTILINE)
    record = read_record(folder)
    assert record is not None
    kinds = {asked.name: asked.kind for asked in read_stage(folder).questions}
    state = {"words": "open", "prediction": "waits"}  # the notebook that is saved there is the untouched one
    assert {standing.name: standing.state for standing in record.standings} == {
        name: state.get(kind, "right") for name, kind in kinds.items()
    }
    n_pictures = sum("image/png" in output.get("data", {}) for output in outputs)
    assert n_pictures >= sum(1 for cell in done.cells if re.search(r"(?m)^## \d", cell.source))
    warned = [output["text"] for output in outputs if output["output_type"] == "stream" and output["name"] == "stderr"]
    assert not [text for text in warned if UNKNOWN_TARGETS not in text]
    if course.stages[stage].prediction:
        assert "prediction.h5ad: 0 errors" in text
        assert (folder / "prediction.h5ad").is_file()
    return text


@pytest.mark.parametrize(
    "stage", [pytest.param(stage, marks=[] if stage == STAGES[0] else pytest.mark.slow) for stage in STAGES]
)
def test_solved_it_runs_to_its_end_and_earns_everything(stage: str, copy: Course):
    run_solved(copy, stage)
    check_full_marks(copy, stage)


@pytest.mark.parametrize("stage", STAGES[1:])
def test_solved_its_answers_earn_everything(stage: str, copy: Course):
    """What is graded of it, without trainings, figures and the prediction, which only the whole notebook makes."""
    check_full_marks(copy, stage)


def check_full_marks(course: Course, stage: str) -> None:
    (result,) = grade(course, stage, "solutions")
    for question in result.questions:
        if question.name != PREDICTION:
            assert (question.points, question.reason[:12]) == (question.max, "right in all")
        elif (course.root / "assignments" / stage / course.stages[stage].prediction.file).exists():
            least = 1.0 if stage == SUBMISSION else 0.4
            assert question.points >= least * question.max
            assert question.held == ""
        else:
            assert question.points == 0


def need_sandbox() -> None:
    try:
        check_sandbox()
    except NoSandboxError as error:
        pytest.skip(str(error))


def grade(course: Course, stage: str, source: str) -> list[Result]:
    """Hand in a notebook of solutions/ or assignments/, with the prediction that was made, and grade it."""
    need_sandbox()
    folder = course.grading / SUBMITTED / "ada" / stage
    folder.mkdir(parents=True)
    shutil.copyfile(course.root / source / stage / f"{stage}.ipynb", folder / f"{stage}.ipynb")
    prediction = course.stages[stage].prediction
    if prediction and (made := course.root / "assignments" / stage / prediction.file).exists():
        shutil.copyfile(made, folder / prediction.file)
    results, failed = grade_stage(course, stage)
    assert failed == {}
    return results


@pytest.mark.parametrize(
    "stage", [pytest.param(stage, marks=[] if stage == STAGES[0] else pytest.mark.slow) for stage in STAGES]
)
def test_untouched_it_runs_to_its_end_says_what_is_open_and_earns_nothing(stage: str, copy: Course):
    folder = copy.root / "assignments" / stage
    notebook = nbformat.read(folder / f"{stage}.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("from starter.blanks.notebook import open_blanks\nopen_blanks()"))
    done = execute(notebook, folder)
    blanks = [cell.metadata["nbgrader"]["grade_id"] for cell in done.cells if TEXT in cell.source]
    assert ast.literal_eval(done.cells[-1].outputs[0].data["text/plain"]) == [
        name.removesuffix("_code") for name in blanks
    ]
    said = {
        cell.source: "".join(output.get("text", "") for output in cell.outputs) for cell in done.cells if is_check(cell)
    }
    assert len(said) >= 4
    for check, text in said.items():
        assert re.search("still empty|not run: it needs", text), check
        assert len(text.splitlines()) == 1
    assert not list(folder.glob("prediction.*"))
    (result,) = grade(copy, stage, "assignments")
    assert result.points == 0


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_who_goes_on_from_every_blank_comes_to_the_end(stage: str, copy: Course):
    """With what the solved notebook gave on this screen in place of each blank, as soon as its cell ran."""
    need_sandbox()
    (rehearsal,) = rehearse(copy, [stage])
    assert rehearsal.faults == []
    folder = release_notebook(copy, stage)
    untouched = nbformat.read(folder / f"{stage}.ipynb", as_version=4)
    names = {path.stem for path in (folder / "checks" / FOLDER).glob("*.npz") if not path.stem.startswith("cell-")}
    cells, going_on = [], {}
    for cell in untouched.cells:
        cells.append(cell)
        blank = re.search(r"(?m)^(?:def|class) (\w+)", cell.source)
        if TEXT in cell.source and blank and blank[1] in names:
            going_on[blank[1]] = nbformat.v4.new_code_cell(f'check.go_on("{blank[1]}")')
            cells.append(going_on[blank[1]])
    assert len(going_on) == len(names) >= 4
    untouched.cells = cells
    done = execute(untouched, folder)
    said = {cell.id: "".join(output.get("text", "") for output in cell.get("outputs", [])) for cell in done.cells}
    for cell in done.cells:
        if not is_check(cell):
            assert "not run" not in said[cell.id], cell.source
            assert "still empty: write" not in said[cell.id], cell.source


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("seed", [PUBLIC_SEED, 12345])
def test_a_usual_mistake_is_never_right_in_all_cases(stage: str, seed: int, kit: Course):
    for question in questions_of(kit, stage):
        cases = question.cases(seed, kit.public_folder)
        for case in cases:
            right = case.due["truth"] if isinstance(question.comparator, NearEnough) else case.due
            assert question.comparator.fault(right, case.due) is None
        for mistake in question.mistakes:
            faults = [question.comparator.fault(case.mistakes[mistake.meaning], case.due) for case in cases]
            assert any(faults), f"{question.name}: {mistake.meaning}"


@pytest.mark.slow
def test_the_submission_earns_everything_on_a_screen_shaped_as_the_challenges(like_the_challenge: Course):
    split = read_split(like_the_challenge.public_folder / "split.json")
    assert [len(split.pairs(part)) for part in ("train", "public", "hidden")] == [125, 25, 50]
    run_solved(like_the_challenge, SUBMISSION)
    check_full_marks(like_the_challenge, SUBMISSION)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_it_runs_on_the_real_screen(stage: str, real: Course, tmp_path: Path):
    shutil.copytree(real.root, tmp_path / "course", ignore=shutil.ignore_patterns("screen"))
    run_solved(read_course(tmp_path / "course"), stage)


@pytest.mark.slow
def test_notebook_10_shows_real_cells_where_the_course_has_them(vcc_data: Path, copy: Course, tmp_path: Path):
    for name in summaries.SUMMARIES:
        summaries.build(name, copy.public_folder / PRIORS_FOLDER, tmp_path)
    text = run_solved(copy, "10_beyond")
    assert "KLF1+TGFBR2" in text
    assert "comes without" not in text


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_it_leaves_out_what_the_screen_does_not_have_and_runs_to_its_end(stage: str, bare: Course, tmp_path: Path):
    shutil.copytree(bare.root, tmp_path / "course", ignore=shutil.ignore_patterns("screen"))
    course = read_course(tmp_path / "course")
    folder = course.root / "assignments" / stage
    execute(nbformat.read(course.root / "solutions" / stage / f"{stage}.ipynb", as_version=4), folder)
    (result,) = grade(course, stage, "solutions")
    for question in result.questions:
        if question.name == PREDICTION:
            assert re.match("scaled scores|no points, since", question.reason)
        else:
            assert question.points == question.max
