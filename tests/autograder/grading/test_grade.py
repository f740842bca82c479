import json
import shutil
from pathlib import Path

import pytest
from commands import run as run_command
from handing_in import RIGHT, STAGE, WRONG, grade_one, hand_in, submit

from autograder.course import Course, read_course
from autograder.grading.grade import SLOWER, grade_stage
from autograder.grading.results import read_result
from autograder.handed_in.submissions import Submission, normalise
from autograder.questions.points import released_points
from autograder.sandbox import run, zygotes
from autograder.sandbox.ready import NoSandboxError
from starter.blanks.blank import TEXT
from starter.errors import InputError


def test_an_untouched_notebook_earns_nothing_and_is_told_why(graded):
    result = graded()
    assert (result.points, result.max) == (0, 10)
    assert result.questions[0].reason == "case 1 of 3: the blank is still empty (NotImplementedError)"


def test_who_goes_on_with_the_kits_values_earns_nothing(graded):
    blank = f"def train_mean(expression, target_gene):\n    raise NotImplementedError({TEXT!r})"
    result = graded(f"{blank}\ncheck.go_on('train_mean')", "from starter.check import check")
    assert result.points == 0
    assert result.questions[0].reason == "case 1 of 3: the blank is still empty (NotImplementedError)"
    assert result.notes == [], "going on is no error"


def test_the_solution_earns_all(sandbox_here: None, course: Course):
    folder = course.grading / "submitted" / "ada" / STAGE
    folder.mkdir(parents=True)
    shutil.copyfile(course.root / "solutions" / STAGE / f"{STAGE}.ipynb", folder / f"{STAGE}.ipynb")
    result = grade_one(course)
    assert (result.points, result.questions[0].reason, result.notes) == (5, "right in all 3 cases", [])


def test_libraries_are_imported_once_for_all_that_are_graded_one_after_the_other(
    sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch
):
    started, remarks = [], []
    real = run.start_session
    monkeypatch.setattr(run, "start_session", lambda *given: started.append(given) or real(*given))
    for student in ("ada", "bob", "cyd"):
        submit(course, student, RIGHT)
    results, failed = grade_stage(course, STAGE, remark=remarks.append)
    assert ([result.questions[0].points for result in results], failed, remarks) == ([5, 5, 5], {}, [])
    assert len(started) == 1


def test_where_no_fork_can_have_a_sandbox_all_start_from_scratch_and_it_is_said(
    sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(zygotes, "command_within", lambda *given: ["bwrap", "--nonsense"])
    submit(course, "ada", RIGHT)
    submit(course, "bob", WRONG)
    remarks = []
    results, failed = grade_stage(course, STAGE, remark=remarks.append)
    assert ([result.questions[0].points for result in results], failed) == ([5, 0], {})
    assert remarks == [f"{SLOWER} (bwrap: Unknown option --nonsense)"]


def test_magics_for_plots_cost_nothing(graded):
    magics = "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\n"
    assert graded(magics + RIGHT).points == 5


def test_warnings_and_prints_cost_nothing(graded):
    assert graded(RIGHT, extra="import sys, warnings; print('x', file=sys.stderr); warnings.warn('old')").points == 5


def test_an_error_in_another_cell_costs_nothing(graded):
    assert graded(RIGHT + "\n1 / 0").points == 5


def test_the_first_error_is_shown_where_points_are_lost(graded):
    reason = graded("undefined_name\n" + RIGHT.replace("np.mean(", "np.max(")).questions[0].reason
    assert "first error when the notebook ran: cell 8: NameError: name 'undefined_name' is not defined" in reason


def test_an_exception_is_the_students_reason(graded):
    reason = graded("def train_mean(expression, target_gene):\n    return expression / 0 + missing").questions[0].reason
    assert "NameError" in reason or "ZeroDivisionError" in reason


def test_part_of_the_cases_earns_part_of_the_points(graded):
    partly = RIGHT.replace("    names =", "    if expression.shape[1] == 5:\n        return None\n    names =")
    result = graded(partly)
    assert result.points == pytest.approx(3.33)
    assert result.questions[0].reason.startswith("right in 2 of 3 cases; case 3 of 3: expected numbers, got None")


def test_an_endless_notebook_is_stopped_and_told(sandbox_here: None, course: Course):
    (course.root / "course.toml").write_text(
        (course.root / "course.toml").read_text().replace("seconds = 60", "seconds = 10")
    )
    short = read_course(course.root)
    endless = "while True:\n    try:\n        while True: pass\n    except: time.sleep(1)\n"
    submit(short, "ada", f"import time\n{endless}{RIGHT}")
    result = grade_one(short)
    assert result.points == 0
    said = "cell 8 was stopped: all cells together took longer than 10 s"
    assert result.questions[0].reason == (
        f"case 1 of 3: the notebook defines no train_mean; first error when the notebook ran: {said}"
    )
    assert result.notes == [said]


def test_what_was_defined_before_an_endless_loop_is_graded(sandbox_here: None, course: Course):
    (course.root / "course.toml").write_text(
        (course.root / "course.toml").read_text().replace("seconds = 60", "seconds = 10")
    )
    short = read_course(course.root)
    submit(short, "ada", RIGHT + "\nimport time\nwhile True: time.sleep(0.1)")
    result = grade_one(short)
    assert (result.points, result.notes) == (5, ["cell 8 was stopped: all cells together took longer than 10 s"])


def test_a_slow_answer_is_stopped_and_told(graded):
    slow = "import time\ndef train_mean(expression, target_gene): time.sleep(30)"
    assert graded(slow).questions[0].reason == "case 1 of 3: it took longer than 10 s"


def test_one_command_grades_all_and_lists_what_failed(sandbox_here: None, course: Course):
    submit(course, "ada", RIGHT)
    hand_in(course, "bob", b"{broken")
    hand_in(course, "cyd", None)
    hand_in(course, "d e;f", b"{}")
    named = run_command("autograder", "grade", STAGE, "--student", "eve", "--student", "cyd", "--course", course.root)
    assert named.returncode == 2
    assert named.stderr.startswith("eve: submitted nothing for 04_baselines\n")
    assert "there is no notebook" in named.stdout
    for _ in range(2):
        done = run_command("autograder", "grade", STAGE, "--course", course.root)
        assert done.returncode == 2
        assert done.stderr == "d e;f: not graded: a student's folder is named with letters, digits and . _ @ -\n"
        for text in ("5 of 5", "damaged", "there is no notebook"):
            assert text in done.stdout


def test_nobodys_fault_stops_the_others(sandbox_here: None, course: Course):
    submit(course, "ada", RIGHT)
    submit(course, "bob", "import os; os._exit(1)")
    (course.grading / "submitted" / "cyd" / STAGE).mkdir(parents=True)
    submit(course, "dan", RIGHT)
    results = {result.student: result.points for result in grade_stage(course, STAGE)[0]}
    assert results == {"ada": 5, "bob": 0, "cyd": 0, "dan": 5}


def test_a_fault_of_the_grader_stops_one_student_alone(
    sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch
):
    for student in ("ada", "bob", "cyd"):
        submit(course, student, RIGHT)

    def broken(submission: Submission, *more: object) -> tuple:
        if submission.student == "bob":
            raise MemoryError
        return normalise(submission, *more)

    monkeypatch.setattr("autograder.grading.grade.normalise", broken)
    results, failed = grade_stage(course, STAGE)
    assert [(result.student, result.points) for result in results] == [("ada", 5), ("cyd", 5)]
    assert failed == {"bob": "not graded: MemoryError: "}
    assert not Submission(course, STAGE, "bob").result.exists()


def test_hidden_folders_where_students_code_can_read_are_refused(
    sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch
):
    submit(course, "ada", RIGHT)
    monkeypatch.setattr(run.sys, "prefix", str(course.root))
    with pytest.raises(NoSandboxError, match="grading lies in .*, which students' code can read; move"):
        grade_stage(course, STAGE)
    monkeypatch.setattr(run.sys, "prefix", str(Path(run.__file__).parents[2] / "solutions"))
    with pytest.raises(NoSandboxError, match="solutions lies in .*solutions, which students' code can read"):
        grade_stage(course, STAGE)


def test_a_stage_that_was_not_released_is_not_graded(sandbox_here: None, course: Course):
    submit(course, "ada", RIGHT)
    shutil.rmtree(course.root / "assignments")
    with pytest.raises(InputError, match="04_baselines was not released: there is no .*; run: autograder release"):
        grade_stage(course, STAGE)


def test_grading_again_gives_the_same_and_runs_nothing(
    sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch
):
    submit(course, "ada", RIGHT)
    first = grade_one(course)

    def never(*args: object, **kwargs: object) -> None:
        pytest.fail("a submission that was graded before ran again")

    monkeypatch.setattr(run, "run", never)
    assert grade_one(course) == first


def test_a_new_submission_is_graded_anew(sandbox_here: None, course: Course):
    folder = submit(course, "ada")
    assert grade_one(course).points == 0
    shutil.rmtree(folder)
    submit(course, "ada", RIGHT)
    assert grade_one(course).points == 5


def test_changed_questions_are_asked_anew(sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch):
    submit(course, "ada", RIGHT)
    grade_one(course)
    path = Submission(course, STAGE, "ada").result
    content = json.loads(path.read_text())
    content["rules_sha256"] = "0" * 64
    content["questions"][0]["points"] = 1.0
    path.write_text(json.dumps(content))
    assert grade_one(course).points == 5
    path.write_text("half")
    with pytest.raises(InputError, match="ada.json is missing or damaged .*; grade the submission again"):
        read_result(path)
    assert grade_one(course).points == 5


@pytest.mark.parametrize("points", ["null", '"many"', "true", "-1", "Infinity"])
def test_points_that_are_none_are_refused(course: Course, points: str):
    path = course.root / "solutions" / STAGE / f"{STAGE}.ipynb"
    path.write_text(path.read_text().replace('"points": 5', f'"points": {points}'))
    with pytest.raises(InputError, match="the question 'train_mean' has .* points, not a number from 0"):
        released_points(course, STAGE)


def test_a_result_is_one_file_with_everything(graded, course: Course):
    result = graded(RIGHT)
    path = course.grading / "results" / STAGE / "ada.json"
    content = json.loads(path.read_text())
    assert content["student"] == "ada"
    assert list(content["questions"][0]) == [
        *("name", "points", "max", "reason", "seconds", "held", "called", "came", "due", "cause")
    ]
    assert len(content["submission_sha256"]) == 64
    assert read_result(path) == result


def test_no_sandbox_no_grades(course: Course, monkeypatch: pytest.MonkeyPatch):
    submit(course, "ada", RIGHT)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(NoSandboxError, match="apt install bubblewrap"):
        grade_stage(course, STAGE)
    assert not Submission(course, STAGE, "ada").result.exists()


def test_a_sandbox_that_does_not_start_is_nobodys_0(
    sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch
):
    submit(course, "ada", RIGHT)
    monkeypatch.setattr(run.sys, "executable", "/nowhere/python")
    with pytest.raises(NoSandboxError, match="the sandbox did not start .*; nobody gets 0 points for that"):
        grade_stage(course, STAGE)
    assert not Submission(course, STAGE, "ada").result.exists()


def test_a_prediction_must_be_asked_for_in_both_places(course: Course):
    path = course.root / "course.toml"
    path.write_text(path.read_text().replace("prediction = {}\n", ""))
    said = r"prediction is only in the notebook; the table \[stages.04_baselines.prediction\] in course.toml asks for a"
    with pytest.raises(InputError, match=said):
        released_points(read_course(course.root), STAGE)


def test_cells_and_questions_must_fit(course: Course):
    path = course.root / "solutions" / STAGE / f"{STAGE}.ipynb"
    path.write_text(path.read_text().replace('"grade_id": "train_mean"', '"grade_id": "trainmean"'))
    with pytest.raises(
        InputError,
        match="trainmean is only in the notebook; train_mean is only in questions/04_baselines.py or course.toml",
    ):
        released_points(course, STAGE)
