import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag
from handing_in import RIGHT, STAGE, TEXT, answer, grade_one, put_result, submit
from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange.default import ExchangeFetchFeedback
from traitlets.config import Config
from typer.testing import CliRunner

from autograder.cli import app
from autograder.course import Course, read_course
from autograder.gradebook.book import configuration, record_results
from autograder.gradebook.feedback import LONGEST, feedback_page, write_feedback
from autograder.gradebook.grades import Grade, QuestionGrade
from autograder.grading.results import QuestionResult, Result
from autograder.handed_in.attempts import collect
from autograder.handed_in.submissions import Submission
from starter.errors import InputError
from starter.scoring.metrics.rule_sets import get_rule_set
from starter.scoring.pictures import PICTURES

FAULT = QuestionResult(
    *("train_mean", 2.5, 5.0, "7 of 7 values differ", 1.0),
    called="train_mean(expression=25 x 7 sparse matrix)",
    came="[1.37, 1.342]",
    due="[0.8716, 1.215]",
)
FULL = QuestionResult("train_mean", 5.0, 5.0, "right in all 3 cases", 1.0)
NBGRADERS_OWN = pytest.mark.filterwarnings("ignore:Passing unrecognized arguments:DeprecationWarning")
PNG = base64.b64decode("iVBORw0KGgo=")


@pytest.fixture
def titled(written: Course) -> Course:
    """The course with titles, a roster and late days."""
    path = written.root / "course.toml"
    text = path.read_text().replace("[course]", '[course]\ntitle = "The course"')
    text += "deadline = 2026-10-01T12:00:00+02:00\n[late]\npoints_per_day = 1\n"
    text += '[[roster.students]]\nid = "ada"\nname = "Ada Lovelace"\n[[roster.students]]\nid = "bob"\n'
    path.write_text(text)
    return read_course(path)


def asked(
    points: float, *, name: str = "train_mean", most: float = 5.0, waits: bool = False, comment: str = ""
) -> QuestionGrade:
    return QuestionGrade(name, points, most, waits, comment)


def grade(*questions: QuestionGrade, **more: object) -> Grade:
    return Grade("ada", STAGE, questions, **{"late": 0.0, **more})


def result(*questions: QuestionResult, notes: Sequence[str] = ()) -> Result:
    return Result("ada", STAGE, "", "", list(questions), list(notes))


def parsed(page: str) -> BeautifulSoup:
    return BeautifulSoup(page, "html.parser")


def texts(where: Tag, selector: str) -> list[str]:
    return [" ".join(found.get_text().split()) for found in where.select(selector)]


def hand_in(course: Course, student: str, question: QuestionResult, text: str = "Because.") -> None:
    submit(course, student, RIGHT)
    answer(course, student, text)
    put_result(course, student, [question])


def grade_by_hand(course: Course, student: str, points: float, comments: dict[str, str]) -> None:
    with Gradebook(f"sqlite:///{course.grading / 'gradebook.db'}") as book:
        one = book.find_grade(TEXT, STAGE, STAGE, student)
        one.manual_score, one.needs_manual_grade = points, False
        for cell, comment in comments.items():
            book.find_comment(cell, STAGE, STAGE, student).manual_comment = comment
        book.db.commit()


def test_the_page_says_what_the_grader_and_the_instructor_said(titled: Course):
    hand_in(titled, "ada", FAULT, "Because of the **mean**.\nIt is near to everything.")
    hand_in(titled, "bob", FULL, "An answer of bob's.")
    assert record_results(titled, STAGE, ["ada", "bob"]) == {}
    comments = {TEXT: "And the variance?", "train_mean_code": "Short\nand nice."}
    grade_by_hand(titled, "ada", 3, comments)
    pages, failed = write_feedback(titled, STAGE)
    assert failed == {}
    folder = titled.grading / "feedback"
    assert pages == [folder / student / STAGE / f"{STAGE}.html" for student in ("ada", "bob")]

    content = pages[0].read_text()
    page = parsed(content)
    assert texts(page, ".course, h1, .student") == ["The course", "Baselines", "Ada Lovelace"]
    assert texts(page, ".score p") == ["5.5 of 9 points"]
    first, second = page.select("section")
    assert texts(first, "h2, .name, .state, .reason, dt, dd") == [
        *("2 How well does one answer fit all?", "train_mean", "◐ in part: 2.5 of 5 points", FAULT.reason),
        *("called", FAULT.called, "expected", FAULT.due, "got", FAULT.came),
    ]
    assert first.select_one(".comment").get_text() == "Comment: Short\nand nice."
    assert not first.select(".answer, .held, .changed")
    assert texts(second, "h2, .name, .state") == ["Why is it hard to beat?", TEXT, "◐ in part: 3 of 4 points"]
    assert texts(second, ".comment") == ["Comment: And the variance?"]
    assert second.select_one(".answer").get_text() == "Because of the **mean**.\nIt is near to everything."
    assert not second.select(".reason, dl")
    assert texts(page, "footer code") == ["regrade.md"]
    for other in ("bob", "An answer of", titled.secret().hex()):
        assert other not in content

    bob = parsed(pages[1].read_text())
    assert texts(bob, ".student, .score p") == [
        *("bob", "5 of 9 points", "1 question waits for the instructor, so this may change."),
    ]
    assert texts(bob, ".state") == ["✓ right: 5 of 5 points", "… waits for the instructor: – of 4 points"]


@pytest.mark.parametrize(
    ("points", "waits", "state"),
    [
        (5.0, False, "✓ right: 5 of 5 points"),
        (6.5, False, "✓ right: 6.5 of 5 points"),
        (1 / 3, False, "◐ in part: 0.33 of 5 points"),
        (0.0, False, "✗ not right: 0 of 5 points"),
        (5.0, True, "… waits for the instructor: 5 of 5 points"),
    ],
)
def test_a_state_is_a_sign_and_a_word(written: Course, points: float, waits: bool, state: str):
    hand_in(written, "ada", FULL)
    page = parsed(feedback_page(written, grade(asked(points, waits=waits)), result(FULL)))
    assert texts(page, ".state") == [state]


def test_a_held_question_waits_without_a_reproach(written: Course):
    hand_in(written, "ada", FULL)
    held = replace(FULL, held="more than one answer came; only the kit may send one")
    content = feedback_page(written, grade(asked(5.0, waits=True)), result(held))
    assert texts(parsed(content), ".held") == ["The instructor will look at this before the points are final."]
    assert "only the kit" not in content
    settled = parsed(feedback_page(written, grade(asked(4.0)), result(held)))
    assert not settled.select(".held")
    assert texts(settled, ".changed") == ["The instructor set these points; the grader had given 5."]


def test_a_late_day_is_named_with_what_it_costs(titled: Course, tmp_path: Path):
    submit(titled, "ada", RIGHT)
    (titled.grading / "submitted").rename(tmp_path / "download")
    received = datetime.fromisoformat("2026-10-02T13:00:00+02:00")
    collect(titled, STAGE, tmp_path / "download", received)
    put_result(titled, "ada", [FULL])
    assert record_results(titled, STAGE, ["ada"]) == {}
    (page,), _ = write_feedback(titled, STAGE)
    score = texts(parsed(page.read_text()), ".score p")
    assert score == ["3 of 9 points", "2 days late: −2 points"]


def test_points_that_nobody_counted_in_days_are_named_as_late(titled: Course):
    hand_in(titled, "ada", FULL)
    page = parsed(feedback_page(titled, grade(asked(5.0), late=1.5), result(FULL)))
    assert texts(page, ".score p") == ["3.5 of 5 points", "Handed in late: −1.5 points"]


def test_an_answer_that_was_not_given_is_called_so(written: Course):
    hand_in(written, "ada", FULL, "YOUR ANSWER HERE")
    page = parsed(feedback_page(written, grade(asked(0.0, name=TEXT, most=4.0, comment="No response.")), result()))
    assert texts(page, ".untouched, .comment") == ["Comment: No response.", "It is still as it was given out."]
    assert not page.select(".answer")


HOSTILE = (
    "<script>window.flag = 1</script><img src=x onerror=alert(1)></pre></section><style>*{}</style>"
    "&lt;b&gt; {{ 7 * 7 }} \x1b[31m \x00 \u202egnp.exe \u2066 \ud800 \x85 \u2028 end"
)


def test_hostile_text_is_shown_and_does_nothing(written: Course):
    """Wherever a student's text stands: answer, reason, arguments, notes, comments."""
    hand_in(written, "ada", FULL, HOSTILE.replace("\ud800", ""))
    bad = replace(FAULT, reason=HOSTILE, called=HOSTILE, came=HOSTILE, due=HOSTILE)
    both = grade(asked(0.0, comment=HOSTILE), asked(0.0, name=TEXT, comment=HOSTILE))
    content = feedback_page(written, both, result(bad, notes=[HOSTILE]))
    content.encode()  # can be written
    page = parsed(content)
    tags = {tag.name for tag in page.find_all(True)}  # noqa: FBT003
    assert not tags & {"script", "img", "a", "link", "iframe", "form", "svg", "object", "b"}
    assert len(page.select("style")) == 1
    assert len(page.select("section")) == 2
    shown = [
        page.select_one(place).get_text() for place in (".reason", ".called", ".got", ".expected", ".answer", "li")
    ]
    assert all(text.startswith("<script>window.flag = 1</script><img src=x onerror=alert(1)></pre>") for text in shown)
    assert all("&lt;b&gt; {{ 7 * 7 }}" in text and text.endswith(" end") for text in shown)
    assert all(character.isprintable() or character == "\n" for character in page.get_text())


def test_endless_text_is_cut_and_says_so(written: Course):
    hand_in(written, "ada", FULL, "word " * 20_000)
    bad = replace(FAULT, reason="A" * 100_000)
    page = parsed(feedback_page(written, grade(asked(0.0), asked(0.0, name=TEXT)), result(bad)))
    assert page.select_one(".reason").get_text() == f"{'A' * LONGEST} … (90,000 more characters)"
    assert page.select_one(".answer").get_text().endswith(" … (90,000 more characters)")


def test_the_page_needs_no_other_file_and_allows_no_script(written: Course):
    hand_in(written, "ada", FULL)
    page = parsed(feedback_page(written, grade(asked(5.0)), result(FULL)))
    policy = page.select_one('meta[http-equiv="Content-Security-Policy"]')["content"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    digest = base64.b64encode(hashlib.sha256(page.style.string.encode()).digest()).decode()
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert not page.select("[src], [href], [style]")


def write_scorecard(course: Course, name: str = "course", unclipped: float = 0.2504) -> None:
    folder = course.grading / "scorecards" / STAGE / "ada"
    folder.mkdir(parents=True, exist_ok=True)
    profile = get_rule_set(name)
    rows = {metric.name: {"scaled": 0.25, "gradable": True} for metric in profile.metrics}
    rows[profile.scored[1]] = {"scaled": None, "gradable": False}
    overall = {"overall": 0.2504, "overall_unclipped": unclipped}
    content = {"profile": name, **overall, "metrics": rows, "truth": {"sha256": "cafe" * 16}}
    (folder / "scorecard.json").write_text(json.dumps(content))
    (folder / "per_perturbation.parquet").write_bytes(b"never shown")
    for name in PICTURES:
        (folder / name).write_bytes(PNG + name.encode())


def test_a_prediction_shows_its_scores_and_pictures(written: Course):
    hand_in(written, "ada", FULL)
    write_scorecard(written)
    scored = QuestionResult("prediction", 4.0, 10.0, "scaled scores: overall 0.250", 9.0, came="overall 0.250")
    content = feedback_page(written, grade(asked(4.0, name="prediction", most=10.0)), result(scored))
    page = parsed(content)
    rows = [texts(row, "td") for row in page.select("table tbody tr")]
    profile = get_rule_set("course")
    titles = [metric.title for metric in profile.metrics if metric.name in profile.scored]
    due = [[title, "0.250"] for title in titles]
    due[1][1] = "not gradable on this screen"
    assert rows == [*due, ["overall", "0.250"]]
    # the genes that hidden cells change are not named
    due = {name: picture.text for name, picture in PICTURES.items() if name != "examples.png"}
    encoded = [base64.b64encode(PNG + name.encode()).decode() for name in due]
    assert [image["src"] for image in page.select("img")] == [f"data:image/png;base64,{text}" for text in encoded]
    assert texts(page, "figcaption") == list(due.values())
    assert [image["alt"] for image in page.select("img")] == list(due.values())
    assert "cafecafe" not in content
    assert "1 is as good as measuring again" in content
    assert "if it\ncounted below 0" not in content
    refused = replace(scored, points=0.0, reason="it cannot be read", came="")
    page = parsed(feedback_page(written, grade(asked(0.0, name="prediction", most=10.0)), result(refused)))
    assert not page.select("table, img")  # the scorecard is of an earlier attempt


def test_by_the_rules_of_the_challenge_the_page_tells_the_unclipped_score_too(written: Course):
    hand_in(written, "ada", FULL)
    write_scorecard(written, "vcc2025", unclipped=-0.0312)
    scored = QuestionResult("prediction", 0.0, 10.0, "no points", 9.0, came="overall 0.250")
    content = feedback_page(written, grade(asked(0.0, name="prediction", most=10.0)), result(scored))
    said = " ".join(parsed(content).select_one("table.metrics + p").get_text().split())
    assert said == (
        "0 is the baseline, the mean of the training profiles; 1 is a perfect prediction. A metric that is worse than "
        "the baseline counts 0; if it counted below 0, overall would be -0.0312."
    )


def test_who_has_no_page_is_named_and_the_others_have_theirs(titled: Course):
    for student in ("ada", "bob", "cyd", "dan"):
        hand_in(titled, student, FULL)
    assert record_results(titled, STAGE, ["ada", "bob", "cyd"]) == {}
    Submission(titled, STAGE, "bob").result.unlink()
    (titled.grading / "submitted" / "cyd" / STAGE / "new.txt").write_text("changed since")
    done = CliRunner().invoke(app, ["feedback", STAGE, "--course", str(titled.root)])
    assert done.exit_code == 2
    assert done.stdout == f"wrote 1 page to {titled.grading / 'feedback'}\n"
    assert done.stderr.splitlines() == [
        "no page: bob has no result for 04_baselines; run: autograder grade 04_baselines --student bob",
        "no page: cyd's submission changed since it was graded; run: autograder grade 04_baselines --student cyd",
        "no page: dan's points are not in the gradebook; run: autograder grade 04_baselines --student dan",
    ]
    assert [path.name for path in (titled.grading / "feedback").iterdir()] == ["ada"]
    done = CliRunner().invoke(app, ["feedback", STAGE, "--student", "ada", "--course", str(titled.root)])
    assert (done.exit_code, done.stderr) == (0, "")


def test_a_page_that_cannot_be_made_leaves_the_earlier_one(titled: Course):
    hand_in(titled, "ada", FULL)
    assert record_results(titled, STAGE, ["ada"]) == {}
    (page,), _ = write_feedback(titled, STAGE)
    earlier = page.read_bytes()
    Submission(titled, STAGE, "ada").result.write_text("{half")
    pages, failed = write_feedback(titled, STAGE)
    assert pages == []
    assert "is missing or damaged (ValidationError); grade the submission again" in failed["ada"]
    assert page.read_bytes() == earlier
    assert sorted(path.name for path in page.parent.iterdir()) == [page.name, "submission_secret.txt", "timestamp.txt"]


def test_only_students_who_handed_in_can_be_asked_for(written: Course):
    submit(written, "ada", RIGHT)
    with pytest.raises(InputError, match=r"^\.\./x submitted nothing for 04_baselines; there are submissions of ada$"):
        write_feedback(written, STAGE, ["../x"])
    grade_one(written)
    assert record_results(written, STAGE, ["ada"]) == {}
    pages, failed = write_feedback(written, STAGE, ["../x", "ada", "ada"])
    assert [page.parents[1].name for page in pages] == ["ada"]
    assert failed == {"../x": "no page: ../x submitted nothing for 04_baselines"}
    with pytest.raises(InputError, match=r"has no stage '05_x'"):
        write_feedback(written, "05_x")


def test_nbgraders_own_button_writes_the_same_page(titled: Course):
    hand_in(titled, "ada", FULL)
    (titled.grading / "submitted" / "ada" / STAGE / "submission_secret.txt").write_text("ab" * 64)
    put_result(titled, "ada", [FULL])
    assert record_results(titled, STAGE, ["ada"]) == {}
    (page,), _ = write_feedback(titled, STAGE)
    ours = {path.name: path.read_bytes() for path in page.parent.iterdir()}
    api = NbGraderAPI(config=configuration(titled))
    answered = api.generate_feedback(STAGE, "ada")
    assert answered["success"], answered
    assert {path.name: path.read_bytes() for path in page.parent.iterdir()} == ours


def release_and_fetch(course: Course, tmp_path: Path, student: str, secret: str) -> list[str]:
    """Release all pages, and give the pages that a student finds with the secret of an own submission."""
    settings = configuration(course)
    settings.Exchange.root = str(tmp_path / "exchange")
    (tmp_path / "exchange").mkdir(mode=0o777, exist_ok=True)
    (tmp_path / "exchange").chmod(0o777)
    answered = NbGraderAPI(config=settings).release_feedback(STAGE)
    assert answered["success"], answered
    home = tmp_path / f"home of {student}"
    attempt = home / "cache" / course.name / f"{student}+{STAGE}+2026-10-01 10:00:00.000000 UTC"
    attempt.mkdir(parents=True)
    (attempt / f"{STAGE}.ipynb").touch()
    (attempt / "submission_secret.txt").write_text(secret)
    theirs = Config()
    theirs.Exchange.root = settings.Exchange.root
    theirs.Exchange.cache = str(home / "cache")
    theirs.Exchange.assignment_dir = str(home)
    theirs.CourseDirectory.course_id = course.name
    theirs.CourseDirectory.assignment_id = STAGE
    theirs.CourseDirectory.student_id = student
    ExchangeFetchFeedback(coursedir=CourseDirectory(config=theirs), config=theirs).start()
    return [path.read_text() for path in home.glob(f"{STAGE}/feedback/*/{STAGE}.html")]


@NBGRADERS_OWN
def test_a_page_reaches_its_student_through_the_exchange(titled: Course, tmp_path: Path):
    """One by a secret that `nbgrader submit` made; the other's is of his own making and would stop the release."""
    for student, secret in (("ada", b"ab" * 64), ("bob", b"\xff")):
        submit(titled, student, RIGHT)
        (titled.grading / "submitted" / student / STAGE / "submission_secret.txt").write_bytes(secret)
        put_result(titled, student, [FULL])
    assert record_results(titled, STAGE, ["ada", "bob"]) == {}
    pages, _ = write_feedback(titled, STAGE)
    assert release_and_fetch(titled, tmp_path, "ada", "ab" * 64) == [pages[0].read_text()]
    assert len(list((tmp_path / "exchange").rglob("*.html"))) == 2
    assert release_and_fetch(titled, tmp_path, "bob", "\ufffd") == []


@NBGRADERS_OWN
def test_team_mates_find_their_own_pages_although_one_attempt_counts(titled: Course, tmp_path: Path):
    path = titled.root / "course.toml"
    path.write_text(path.read_text().replace("[[roster.students]]", '[[roster.students]]\nteam = "x"'))
    course = read_course(path)
    for student, secret, hour in (("ada", "ab", 9), ("bob", "cd", 11)):
        submit(course, student, RIGHT)
        (course.grading / "submitted" / student / STAGE / "submission_secret.txt").write_text(secret * 64)
        (course.grading / "submitted").rename(tmp_path / student)
        collect(course, STAGE, tmp_path / student, datetime.fromisoformat(f"2026-10-01T{hour:02}:00:00+02:00"))
        if student == "ada":
            (course.grading / "submitted").rename(tmp_path / "before bob")
    for student in ("ada", "bob"):
        put_result(course, student, [FULL])
    assert record_results(course, STAGE, ["ada", "bob"]) == {}
    pages, failed = write_feedback(course, STAGE)
    assert failed == {}
    assert release_and_fetch(course, tmp_path, "ada", "ab" * 64) == [pages[0].read_text()]
    assert release_and_fetch(course, tmp_path, "bob", "cd" * 64) == [pages[1].read_text()]
