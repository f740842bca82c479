"""What a stage asks, as students get it: names, points, kinds and blanks of its questions, and no answer."""

from collections.abc import Iterator

from nbformat import NotebookNode

from autograder.course import Course
from autograder.questions.question import PREDICTION, questions_of
from starter.answers.kinds import File, Function, Object, Variable
from starter.assignment.stage import Kind, Stage, StageQuestion

KINDS: dict[type, Kind] = {Function: "function", Object: "object", Variable: "variable", File: "file"}


def stage_asked(course: Course, stage: str, notebook: NotebookNode) -> Stage:
    """List the questions of a students' notebook, in its order.

    Parameters
    ----------
    notebook
        As it is given out.
    """
    return Stage(stage, course.stages[stage].title, tuple(_questions(course, stage, notebook)))


def _questions(course: Course, stage: str, notebook: NotebookNode) -> Iterator[StageQuestion]:
    asks = {question.name: question.asks for question in questions_of(course, stage)}
    blanks: list[str] = []
    for cell in notebook.cells:
        grader = cell.metadata.get("nbgrader", {})
        name = grader.get("grade_id")
        if grader.get("solution") and not grader.get("grade"):
            blanks.append(name)
        if not grader.get("grade"):
            continue
        points = float(grader["points"])
        if name in asks:
            yield StageQuestion(name, points, KINDS[type(asks[name])], asks[name].name, tuple(blanks))
        elif name == PREDICTION and (prediction := course.stages[stage].prediction):
            yield StageQuestion(name, points, "prediction", prediction.file, tuple(blanks))
        else:
            yield StageQuestion(name, points, "words", cell.source)
        blanks.clear()
