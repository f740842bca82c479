"""Submissions that share code which hardly anybody else wrote: a hint where to look, never a proof.

Winnowing of code whose names, strings, comments and spaces are left out (Schleimer, Wilkerson and Aiken 2003), by
`copydetect`.
"""

import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import groupby
from pathlib import Path

import jinja2
import numpy as np
from copydetect import CodeFingerprint, compare_files
from scipy import sparse

from autograder.course import Course
from autograder.submissions import NORMALISED, printable
from starter.files import whole
from starter.schema import InputError, counted

SIMILAR = "similar"
"""Folder below grading/: SIMILAR/<stage>.html."""
LENGTH = 25
"""Characters of a fingerprint, which makes it about a line."""
MIN_SHARED = 80
"""Unusual fingerprints of a pair; fewer are a few short lines, which honest students write alike."""
USUAL_SHARE = 0.1
USUAL_LEAST = 2
"""A fingerprint of more than this share, and more than this many, of the teams is usual."""
MAX_PAIRS = 30
MAX_TEXT = 40_000
"""Characters of a student's code that are compared."""
CONTEXT = 3
"""Lines that the page shows around a shared stretch."""
COLOURS = 4

WORD = re.compile(r"\w\w")
"""Within a word: a mark begins and ends with words."""

Piece = tuple[str, int]
"""Text, and the number of the shared stretch that it belongs to (0: none)."""


@dataclass(frozen=True)
class Pair:
    """Two students and what they share."""

    students: tuple[str, str]
    shared: int
    """Unusual fingerprints that both have."""
    share: float
    """Of the unusual fingerprints of the one who has fewer."""


@dataclass(frozen=True)
class Line:
    """A line on the page, or lines that are left out there."""

    number: int
    pieces: Sequence[Piece]
    hidden: int = 0
    """How many lines are left out here; then there are no pieces."""


def compare_stage(course: Course, stage: str) -> tuple[list[Pair], Path, list[str]]:
    """Compare all submissions of a stage that were graded, and write the page with the pairs that share most.

    What the notebooks as they were given out, or the instructor's own, hold does not count, nor what is usual among
    the submissions. Members of one team are not compared.

    Parameters
    ----------
    course
        The course.
    stage
        Such as `04_baselines`.

    Returns
    -------
    Pairs, the one that shares the largest part first; the page; and whose text was not compared, or only in part.

    Raises
    ------
    InputError
        If the stage is unknown or was not released, or fewer than two submissions were graded.
    """
    course.check_stage(stage)
    given, solved = (course.root / room / stage / f"{stage}.ipynb" for room in ("assignments", "solutions"))
    for path in (given, solved):
        if not path.is_file():
            msg = f"{stage} was not released: there is no {path}; run: autograder release"
            raise InputError(msg)
    boilerplate = _fingerprint(_text([*_cells(given), *_cells(solved)])).hashes
    as_given = {source for _, source in _cells(given)}
    texts, marks, notes = {}, {}, []
    for path in sorted((course.grading / NORMALISED).glob(f"*/{stage}/{stage}.ipynb")):
        student = path.parents[1].name
        try:
            text = _text([cell for cell in _cells(path) if cell[1] not in as_given])
            marks[student] = np.array(sorted(_fingerprint(text[:MAX_TEXT]).hashes - boilerplate), dtype=np.int64)
        except Exception as error:  # noqa: BLE001  (one student's text must not end the comparison)
            notes.append(f"{student}: not compared ({type(error).__name__}: {printable(str(error)[:200])})")
            continue
        texts[student] = text[:MAX_TEXT]
        if len(text) > MAX_TEXT:
            notes.append(f"{student}: only the first {MAX_TEXT:,} of {len(text):,} characters of code are compared")
    if len(texts) < 2:
        msg = f"nothing to compare: {counted(len(texts), 'submission')} of {stage}; run first: autograder grade {stage}"
        raise InputError(msg)
    pairs, unusual = _pairs(course, marks)
    path = course.grading / SIMILAR / f"{stage}.html"
    with whole(path) as part:
        part.write_text(_page(course, stage, pairs, texts, unusual), encoding="utf-8")
    return pairs[:MAX_PAIRS], path, notes


def _cells(path: Path) -> list[tuple[str, str]]:
    """Read a notebook's code cells: a heading and the code."""
    cells = []
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"], start=1):
        if cell["cell_type"] == "code" and (source := "".join(cell["source"]).strip()):
            name = cell["metadata"].get("nbgrader", {}).get("grade_id")
            cells.append((f"# cell {number}: {name}" if name else f"# cell {number}", source))
    return cells


def _text(cells: Sequence[tuple[str, str]]) -> str:
    """Set cells below each other, without characters that could steer a terminal or a page."""
    lines = [line for heading, source in cells for line in (heading, *source.expandtabs(4).splitlines(), "")]
    return "\n".join(printable(line) for line in lines).rstrip()


def _fingerprint(text: str) -> CodeFingerprint:
    # every fingerprint, not a sample: the sample would differ between runs, as Python's hashes of text do
    made = CodeFingerprint("code.py", k=LENGTH, win_size=1, language="python", fp=io.StringIO(text))
    # what was left out before a class or a first comment is counted wrong by copydetect 0.5.0; it can only grow
    made.offsets = np.maximum.accumulate(made.offsets)
    return made


def _pairs(course: Course, marks: Mapping[str, np.ndarray]) -> tuple[list[Pair], set[int]]:
    """Count what students share, over all pairs at once.

    Returns
    -------
    The pairs that share enough, one for two teams, and the unusual fingerprints.
    """
    students = list(marks)
    teams = np.unique([course.team_of(student)[0] for student in students], return_inverse=True)[1]
    values, columns = np.unique(np.concatenate(list(marks.values())), return_inverse=True)
    rows = np.repeat(np.arange(len(students)), [len(mark) for mark in marks.values()])
    has = sparse.csr_array((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=(len(students), len(values)))
    member = sparse.csr_array((np.ones(len(teams), dtype=np.int32), (teams, np.arange(len(teams)))))
    unusual = (member @ has > 0).sum(axis=0) <= max(USUAL_LEAST, USUAL_SHARE * (teams.max() + 1))
    has = has[:, np.flatnonzero(unusual)]
    shared, of_each = (has @ has.T).toarray(), has.sum(axis=1)

    one, two = np.nonzero(np.triu(shared >= MIN_SHARED, k=1))
    counts = shared[one, two]
    shares = counts / np.minimum(of_each[one], of_each[two])
    pairs: dict[tuple[int, ...], Pair] = {}
    for i in np.lexsort((-counts, -shares)):
        both = tuple(sorted((teams[one[i]], teams[two[i]])))
        if both[0] != both[1] and both not in pairs:
            pairs[both] = Pair((students[one[i]], students[two[i]]), int(counts[i]), float(shares[i]))
    return list(pairs.values()), set(values[unusual].tolist())


def _page(course: Course, stage: str, pairs: Sequence[Pair], texts: Mapping[str, str], unusual: set[int]) -> str:
    template = resources.files("autograder").joinpath("similar.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(
        stage=stage,
        title=course.stages[stage].title or stage,
        names={student: _name(course, student) for student in texts},
        pairs=pairs[:MAX_PAIRS],
        n_pairs=len(pairs),
        n_texts=len(texts),
        sides=[_sides([texts[student] for student in pair.students], unusual) for pair in pairs[:MAX_PAIRS]],
        length=LENGTH,
        colours=COLOURS,
        usual_percent=100 * USUAL_SHARE,
        usual_least=USUAL_LEAST,
        min_shared=MIN_SHARED,
    )


def _name(course: Course, student: str) -> str:
    """Give a student's name and id."""
    entry = course.students.get(student)
    return f"{entry.name} ({student})" if entry and entry.name else student


def _sides(texts: Sequence[str], unusual: set[int]) -> list[list[Line]]:
    """Mark in two texts what they share; stretches that belong together have one number."""
    prints = [_fingerprint(text) for text in texts]
    for made in prints:
        made.hashes &= unusual
    _, _, slices = compare_files(*prints)
    # the stretch that each shared fingerprint begins in, in either text
    begins = [
        {mark: int(np.searchsorted(starts, _place(made, made.hash_idx[mark][0]), side="right")) for mark in shared}
        for made, (starts, _) in zip(prints, slices, strict=True)
        for shared in [prints[0].hashes & prints[1].hashes]
    ]
    partners = defaultdict(Counter)
    for mark, number in begins[1].items():
        partners[number][begins[0][mark]] += 1
    numbers = [
        {number: number for number in begins[0].values()},
        {number: partner.most_common(1)[0][0] for number, partner in partners.items()},
    ]
    return [_lines(text, *both) for text, both in zip(texts, zip(slices, numbers, strict=True), strict=True)]


def _place(made: CodeFingerprint, position: int) -> int:
    """Turn a place in the code that was compared into the one in the student's text."""
    row = np.searchsorted(made.offsets[:, 0], position).clip(max=len(made.offsets) - 1)
    return position + int(made.offsets[row, 1])


def _lines(text: str, slices: np.ndarray, numbers: Mapping[int, int]) -> list[Line]:
    """Cut a text into lines and these into pieces, and leave out lines far from everything that is shared."""
    owner = np.zeros(len(text), dtype=int)
    for number, (start, end) in enumerate(slices.T.astype(int), start=1):
        while start and WORD.fullmatch(text[start - 1 : start + 1]):
            start -= 1
        while WORD.fullmatch(text[end - 1 : end + 1]):
            end += 1
        owner[start:end] = numbers.get(number, 0)
    lines, begin = [], 0
    for number, line in enumerate(text.split("\n"), start=1):
        of_line = owner[begin : begin + len(line)]
        begin += len(line) + 1
        indent = len(line) - len(line.lstrip())
        of_line[:indent] = of_line[len(line.rstrip()) :] = 0
        if line.lstrip().startswith("#"):
            of_line[:] = 0
        pieces = [
            ("".join(letter for letter, _ in piece), int(owned))
            for owned, piece in groupby(zip(line, of_line, strict=True), key=lambda letter: letter[1])
        ]
        lines.append(Line(number, pieces))
    near = {
        number
        for line in lines
        if any(owned for _, owned in line.pieces)
        for number in range(line.number - CONTEXT, line.number + CONTEXT + 1)
    }
    shown = []
    for is_near, some in groupby(lines, key=lambda line: line.number in near):
        block = list(some)
        shown += block if is_near else [Line(block[0].number, (), len(block))]
    return shown
