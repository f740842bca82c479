"""Submissions that share code which hardly anybody else wrote, or with the kit: a hint where to look, never a proof.

Winnowing of code whose names, strings, comments and spaces are left out (Schleimer, Wilkerson and Aiken 2003), by
`copydetect`.
"""

import functools
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import groupby
from pathlib import Path

import jinja2
import numpy as np
from copydetect import CodeFingerprint, compare_files
from scipy import sparse

import starter
from autograder.course import Course
from autograder.folders import ASSIGNMENTS, NORMALISED, SIMILAR, SOLUTIONS
from autograder.questions.question import questions_of
from autograder.text import printable
from starter.errors import InputError, counted
from starter.files import whole

LENGTH = 25
"""Characters of a fingerprint, which makes it about a line."""
MIN_SHARED = 80
"""Unusual fingerprints of a pair; fewer are a few short lines, which honest students write alike."""
USUAL_SHARE = 0.1
USUAL_LEAST = 5
"""A fingerprint of more than this share, and more than this many, of the teams is usual."""
MAX_PAIRS = 30
MAX_TEXT = 40_000
"""Characters of a student's code that are compared."""
CONTEXT = 3
"""Lines that the page shows around a shared stretch."""
COLOURS = 4

WITHIN_WORD = re.compile(r"\w\w")

Cells = dict[str, str]
"""A notebook's code cells, by heading."""
Piece = tuple[str, int]
"""Text, and its number if it is shared (0: it is not)."""


@dataclass(frozen=True)
class Pair:
    """Two students, or a student and a module of the kit, and what they share."""

    students: tuple[str, str]
    """A module stands second, by its file, such as `starter/models/baselines.py`."""
    shared: int
    """Unusual fingerprints that both have."""
    share: float
    """Of the unusual fingerprints of the one who has fewer."""

    @property
    def of_kit(self) -> bool:
        """Whether a module of the kit stands second; no student's name has a slash."""
        return "/" in self.students[1]


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
    the submissions. Members of one team are not compared. Modules of `starter` that a question leaves out, since they
    would answer it, are compared with each team's code: it may have been copied from there.

    Returns
    -------
    Pairs of students, the one that shares the largest part first, then pairs of a student and a module, likewise; the
    page; and whose text was not compared, or only in part.

    Raises
    ------
    InputError
        If the stage is unknown or was not released, or fewer than two submissions were graded.
    """
    course.check_stage(stage)
    known = []
    for room in (ASSIGNMENTS, SOLUTIONS):
        path = course.root / room / stage / f"{stage}.ipynb"
        if not path.is_file():
            msg = f"{stage} was not released: there is no {path}; run: autograder release"
            raise InputError(msg)
        known += _cells(path).values()
    boilerplate = set().union(*(_hashes(code) for code in known))
    texts, marks, notes = {}, {}, []
    for path in sorted((course.grading / NORMALISED).glob(f"*/{stage}/{stage}.ipynb")):
        student = path.parents[1].name
        try:
            cells = {heading: code for heading, code in _cells(path).items() if code not in known}
            length = sum(map(len, cells.values()))
            if length > MAX_TEXT:
                notes.append(f"{student}: only the first {MAX_TEXT:,} of {length:,} characters of code are compared")
                cells = _cut(cells)
            own = set().union(*(_hashes(code) for code in cells.values())) - boilerplate
        except Exception as error:  # noqa: BLE001  (one student's text must not end the comparison)
            notes.append(f"{student}: not compared ({type(error).__name__}: {printable(str(error)[:200])})")
            continue
        texts[student], marks[student] = cells, np.array(sorted(own), dtype=np.int64)
    if len(texts) < 2:
        msg = f"nothing to compare: {counted(len(texts), 'submission')} of {stage}; run first: autograder grade {stage}"
        raise InputError(msg)
    pairs, unusual = _pairs(course, marks)
    modules = _modules(course, stage)
    from_kit = _from_kit(course, marks, modules, boilerplate)
    path = course.grading / SIMILAR / f"{stage}.html"
    with whole(path) as part:
        part.write_text(_page(course, stage, (pairs, from_kit), texts | modules, marks, unusual), encoding="utf-8")
    return [*pairs[:MAX_PAIRS], *from_kit[:MAX_PAIRS]], path, notes


def _modules(course: Course, stage: str) -> dict[str, Cells]:
    """Read the modules of `starter` that the stage's questions leave out, by file."""
    modules = {}
    for name in sorted({name for question in questions_of(course, stage) for name in question.without}):
        place = Path(starter.__file__).parents[1].joinpath(*name.split("."))
        for path in sorted(place.rglob("*.py")) or [place.with_suffix(".py")]:
            file = path.relative_to(Path(starter.__file__).parents[1]).as_posix()
            modules[file] = {f"# {file}": path.read_text(encoding="utf-8").strip()}
    return modules


def _from_kit(
    course: Course, marks: Mapping[str, np.ndarray], modules: Mapping[str, Cells], boilerplate: set[int]
) -> list[Pair]:
    """Count what each team shares with the kit, also what many have from there."""
    of_module = {
        file: np.array(sorted(_hashes(code) - boilerplate), dtype=np.int64)
        for file, cells in modules.items()
        for code in cells.values()
    }
    pairs = []
    teams: dict[str, str] = {}
    for student in marks:
        teams.setdefault(course.team_of(student)[0], student)
    for student in teams.values():
        for file, mark in of_module.items():
            if (shared := len(np.intersect1d(marks[student], mark, assume_unique=True))) >= MIN_SHARED:
                pairs.append(Pair((student, file), shared, shared / min(len(marks[student]), len(mark))))
    return sorted(pairs, key=lambda pair: (-pair.share, -pair.shared))


def _cells(path: Path) -> Cells:
    """Read a notebook's code cells, without characters that could steer a terminal or a page."""
    cells = {}
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"], start=1):
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        lines = "".join(cell["source"]).expandtabs(4).splitlines()
        if cell["cell_type"] == "code" and (code := "\n".join(printable(line) for line in lines).strip()):
            cells[f"# cell {number}: {name}" if name else f"# cell {number}"] = code
    return cells


def _cut(cells: Cells) -> Cells:
    kept, room = {}, MAX_TEXT
    for heading, code in cells.items():
        kept[heading] = code[:room]
        room -= len(kept[heading])
    return kept


def _fingerprint(code: str) -> CodeFingerprint:
    # every fingerprint, not a sample: the sample would differ between runs, as Python's hashes of text do
    made = CodeFingerprint("code.py", k=LENGTH, win_size=1, language="python", fp=io.StringIO(code))
    # copydetect 0.5.0 counts wrong what it left out before a class's name or a first comment; this can only grow
    made.offsets = np.maximum.accumulate(made.offsets)
    return made


@functools.lru_cache(maxsize=1024)
def _hashes(code: str) -> frozenset[int]:
    return frozenset(_fingerprint(code).hashes)


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
        both = tuple(sorted((int(teams[one[i]]), int(teams[two[i]]))))
        if both[0] != both[1] and both not in pairs:
            pairs[both] = Pair((students[one[i]], students[two[i]]), int(counts[i]), float(shares[i]))
    return list(pairs.values()), set(values[unusual].tolist())


def _page(
    course: Course,
    stage: str,
    found: tuple[Sequence[Pair], Sequence[Pair]],
    texts: Mapping[str, Cells],
    marks: Mapping[str, np.ndarray],
    unusual: set[int],
) -> str:
    template = resources.files("autograder.gradebook").joinpath("similar.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    sides = {}
    for pair in (pair for pairs in found for pair in pairs[:MAX_PAIRS]):
        counts = set(marks[pair.students[0]].tolist()) if pair.of_kit else unusual
        sides[pair] = _sides([texts[name] for name in pair.students], counts)
    return environment.from_string(template).render(
        stage=stage,
        title=course.stages[stage].title or stage,
        names={name: _name(course, name) for name in texts},
        found=found,
        most=MAX_PAIRS,
        n_texts=len(marks),
        sides=sides,
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


def _sides(texts: Sequence[Cells], unusual: set[int]) -> list[list[Line]]:
    """Mark in two students' cells what they share; what two cells share has one number."""
    prints = [[_fingerprint(code) for code in cells.values()] for cells in texts]
    for made in (*prints[0], *prints[1]):
        made.hashes &= unusual
    shared = [
        (compare_files(one, two), i, j)
        for i, one in enumerate(prints[0])
        if one.hashes  # not in the thousands of tiny cells that a notebook may have
        for j, two in enumerate(prints[1])
        if one.hashes & two.hashes
    ]
    owners = [[np.zeros(len(code), dtype=int) for code in cells.values()] for cells in texts]
    # cells that share most come first, and a stretch keeps its first number
    for number, ((_, _, slices), *places) in enumerate(sorted(shared, key=lambda pair: -pair[0][0]), start=1):
        for side, place in enumerate(places):
            code = list(texts[side].values())[place]
            for start, end in slices[side].T.astype(int):
                part = owners[side][place][slice(*_whole_words(code, start, end))]
                part[part == 0] = number
    return [_lines(cells, owner) for cells, owner in zip(texts, owners, strict=True)]


def _whole_words(code: str, start: int, end: int) -> tuple[int, int]:
    while start and WITHIN_WORD.fullmatch(code[start - 1 : start + 1]):
        start -= 1
    while WITHIN_WORD.fullmatch(code[end - 1 : end + 1]):
        end += 1
    return start, end


def _lines(cells: Cells, owners: Sequence[np.ndarray]) -> list[Line]:
    """Cut cells into lines and these into pieces, and leave out lines far from everything that is shared."""
    lines = []
    for (heading, code), owner in zip(cells.items(), owners, strict=True):
        lines += [Line(len(lines) + 1, ())] if lines else []
        lines.append(Line(len(lines) + 1, [(heading, 0)]))
        begin = 0
        for line in code.split("\n"):
            of_line = owner[begin : begin + len(line)]
            begin += len(line) + 1
            # space at either end and lines of comment are not shared
            of_line[: len(line) - len(line.lstrip())] = of_line[len(line.rstrip()) :] = 0
            of_line[:] *= not line.lstrip().startswith("#")
            pieces = [
                ("".join(letter for letter, _ in piece), int(number))
                for number, piece in groupby(zip(line, of_line, strict=True), key=lambda letter: letter[1])
            ]
            lines.append(Line(len(lines) + 1, pieces))
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
