"""The points that a released notebook's cells carry."""

import math

import nbformat

from autograder.course import FILE, Course
from autograder.folders import SOLUTIONS
from autograder.questions.question import PREDICTION, questions_of
from starter.errors import InputError


def released_points(course: Course, stage: str) -> dict[str, float]:
    """Read the points of each question from the instructor's notebook.

    Raises
    ------
    InputError
        If there is no notebook, or its graded cells are not the stage's questions.
    """
    notebook = course.root / SOLUTIONS / stage / f"{stage}.ipynb"
    try:
        cells = nbformat.read(notebook, as_version=4)["cells"]
    except FileNotFoundError as error:
        msg = f"there is no {notebook}; copy the kit's solutions/ beside {FILE}, or write your own notebook there"
        raise InputError(msg) from error
    except Exception as error:  # whatever is in the file
        msg = f"cannot read the instructor's notebook {notebook} ({error}); mend it in JupyterLab"
        raise InputError(msg) from error
    points: dict[str, float] = {}
    for cell in cells:
        grader = cell["metadata"].get("nbgrader", {})
        if cell["cell_type"] == "code" and grader.get("grade") and not grader.get("solution"):
            if grader["grade_id"] in points:
                msg = f"{notebook}: two cells have the grade_id {grader['grade_id']!r}"
                raise InputError(msg)
            most = grader.get("points")
            if isinstance(most, bool) or not isinstance(most, int | float) or not 0 <= most < math.inf:
                msg = f"{notebook}: the question {grader['grade_id']!r} has {most!r} points, not a number from 0"
                raise InputError(msg)
            points[grader["grade_id"]] = float(most)
    names = [question.name for question in questions_of(course, stage)]
    if course.stages[stage].prediction:
        names.append(PREDICTION)
    if set(names) != set(points):
        only_cells, only_questions = sorted(set(points) - set(names)), sorted(set(names) - set(points))
        faults = [
            f"{', '.join(some)} {'is' if len(some) == 1 else 'are'} only in {where}"
            for some, where in (
                (only_cells, "the notebook"),
                (only_questions, f"questions/{stage}.py or {FILE}"),
            )
            if some
        ]
        if PREDICTION in only_cells:
            faults.append(f"the table [stages.{stage}.prediction] in {FILE} asks for a prediction")
        msg = f"{notebook} and the questions of {stage} do not fit: {'; '.join(faults)}"
        raise InputError(msg)
    return points
