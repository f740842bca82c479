"""What nbgrader runs of ours: clean text, points by value, the exchange collected."""

import math
import re

from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.exchange.default import ExchangeCollect
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade, is_locked, is_solution
from traitlets import Unicode

from autograder.course import read_course
from autograder.grading.results import QuestionResult, current_result
from autograder.grading.rules import hash_rules
from autograder.handed_in.attempts import collect
from autograder.handed_in.submissions import Submission
from autograder.text import printable
from starter.errors import InputError

BEGINS_HTML = re.compile(r"<(?=[A-Za-z/!?])|&(?=[A-Za-z#])")
"""A tag or an entity, which a space behind its first character turns into text."""
SCRIPT_SCHEMES = "|".join(r"\s*".join(scheme) for scheme in ("javascript", "vbscript"))
BEGINS_SCRIPT = re.compile(rf"({SCRIPT_SCHEMES}|data(?=:text))(?=[\s\\]*:)", re.IGNORECASE)
"""The scheme of a link that runs code; browsers ignore line breaks within it."""
PASTED = re.compile(r"attachment(?=[\s\\]*:)(?::([A-Za-z0-9._-]+)(?=[)\s]))?")
"""A pasted picture and its name."""
SECONDS = 6.0
"""That a notebook may take to be shown, were all of it of the kind that takes longest."""
LETTER_SECONDS, SQUARE_SECONDS = 15e-6, 15e-9
"""What nbconvert needs for a letter and, by itself, a squared length of such a cell (measured, 2026)."""
FEW_LINES, FEW_LETTERS = 3, 200
"""Of a cell that is cut."""


class CleanText(NbGraderPreprocessor):
    """Leaves what is shown of a student's notebook neither HTML nor links to scripts, nor what takes minutes to show.

    Markdown and mathematics stay. Of cells that might take longer than `SECONDS` together, the longest are cut.
    """

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        """Clean all cells that are the student's."""
        cells = [cell for cell in nb.cells if not is_locked(cell)]
        seconds = 0.0
        for cell in cells:
            cell.source = _few_blank_lines(cell.source) if cell.cell_type == "code" else _clean(cell)
        for cell in sorted(cells, key=lambda cell: len(cell.source)):
            seconds += LETTER_SECONDS * len(cell.source) + SQUARE_SECONDS * len(cell.source) ** 2
            if seconds > SECONDS:
                cell.source = _cut(cell.source, "# " if cell.cell_type == "code" else "\n")
        return nb, resources


def _clean(cell: NotebookNode) -> str:
    text = BEGINS_HTML.sub(lambda found: f"{found[0]} ", cell.source)
    text = BEGINS_SCRIPT.sub(lambda found: f"{found[0][:-1]} {found[0][-1]}", text)
    # nbconvert gives up on a notebook that names a picture which is not there
    pictures = cell.get("attachments", {})
    return PASTED.sub(lambda found: found[0] if found[1] in pictures else "no such picture", text)


def _few_blank_lines(code: str) -> str:
    """Leave two of many blank lines, which take longer to colour than all else."""
    lines = [line.rstrip() for line in code.splitlines()]
    return "\n".join(line for i, line in enumerate(lines) if line or any(lines[max(i - 2, 0) : i]))


def _cut(text: str, begin: str) -> str:
    """Leave the first lines of a text, and say that there are more."""
    kept = "\n".join(text.splitlines()[:FEW_LINES])[:FEW_LETTERS]
    return f"{kept}\n{begin}… {len(text) - len(kept):,} more characters are not shown here: see grading/normalised/"


class ResultReader(NbGraderPreprocessor):
    """What reads the result of the submission that nbgrader is at."""

    course_file = Unicode(help="The course's course.toml").tag(config=True)
    rules = Unicode(help="What `hash_rules` gave for the stage; empty: it is asked").tag(config=True)

    def results(self, resources: ResourcesDict) -> list[QuestionResult]:
        """Give what was found for each question, if it is of what is there now."""
        stage, student = resources["nbgrader"]["assignment"], resources["nbgrader"]["student"]
        course = read_course(self.course_file)
        result = current_result(Submission(course, stage, student), self.rules or hash_rules(course, stage))
        if result is None:
            msg = f"{student}'s submission was not graded yet, or changed since; run: autograder grade {stage}"
            raise InputError(msg)
        return result.questions


class ByValue(ResultReader):
    """Gives each graded cell the points and the reason of its question; runs nothing."""

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        """Read the student's result and set the outputs."""
        questions = {question.name: question for question in self.results(resources)}
        for cell in nb.cells:
            if cell.cell_type == "code" and is_grade(cell) and not is_solution(cell):
                question = questions[cell.metadata.nbgrader["grade_id"]]
                points = earned(question)
                said = f"{points:g} of {question.max:g} points: {question.reason}".replace("; ", ";\n  ")
                held = f"\nheld, so please look: {question.held}" if question.held else ""
                cell.execution_count = None
                cell.outputs = [
                    new_output("stream", name="stdout", text=f"{said}{held}\n"),
                    new_output("execute_result", data={"text/plain": repr(points)}, execution_count=None),
                ]
        return nb, resources


class Collect(ExchangeCollect):
    """Lets nbgrader's own command and button collect as `autograder collect` does: as attempts, following no links."""

    course_file = Unicode(help="The course's course.toml").tag(config=True)

    def start(self) -> None:
        """Collect a stage from the exchange."""
        done = collect(read_course(self.course_file), self.coursedir.assignment_id)
        self.log.info("%s new; now run: autograder grade %s", len(done.new), self.coursedir.assignment_id)
        for reason in done.refused:
            self.log.warning(printable(reason))


def earned(question: QuestionResult) -> float:
    """Give a question's points within what can be had."""
    return min(max(float(question.points), 0.0), question.max) if math.isfinite(question.points) else 0.0
