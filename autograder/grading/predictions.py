"""A student's prediction: opened in the sandbox, written anew from plain values, scored outside, points by the rubric.

What is scored is a file of the kit's own making, so that no library outside meets a crafted one.
"""

import functools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from autograder.course import Course
from autograder.folders import TRUTH
from autograder.grading.judge import REASON, Verdict
from autograder.grading.rubric import Scored, by_rubric
from autograder.handed_in.submissions import Submission
from autograder.sandbox import contents, run
from autograder.sandbox.bubblewrap import KIT
from autograder.sandbox.inside.frames import each_frame
from autograder.sandbox.inside.read_prediction import REFUSED
from autograder.sandbox.ready import MachineError, last_line
from autograder.settings import Prediction
from autograder.text import printable
from starter.answers import values
from starter.data.h5ad import open_h5ad
from starter.data.write import write_h5ad
from starter.errors import InputError
from starter.prediction.check import check_prediction
from starter.prediction.requirements import Requirements, requirements_of_course
from starter.prediction.season import SEASON_2025
from starter.schema import CONTEXT, TARGET_GENE
from starter.scoring.page import write_scorecard
from starter.scoring.scorecard import Scorecard, score_prediction
from starter.scoring.truth.opened import Truth, open_truth

DAMAGED = "the prediction cannot be read: it came out of the sandbox damaged"
DID_NOT_START = 1
"""Exit status of bubblewrap, and of Python before a file is opened."""
SCORING = threading.Lock()
"""One prediction at a time: scoring uses all cores, and its threads cannot be entered twice."""
OPENING = ("import starter.data.h5ad", "import starter.prediction.vcc", "import starter.scoring.screens.opened")
"""What opening a prediction imports, for `Zygotes`."""


@dataclass(frozen=True)
class Refusal:
    """Why a file cannot be scored."""

    reason: str
    """One sentence, which says what to do."""
    stopped: bool
    """Whether the sandbox was stopped, which this machine may have caused: a person looks."""


def score_in_sandbox(
    course: Course, stage: str, file: Path, work: Path, start: run.Start = run.from_scratch, seed: int | None = 0
) -> Scorecard | Refusal:
    """Open a prediction file in the sandbox and score what comes out, against the whole hidden truth.

    Parameters
    ----------
    course, stage
        Whose prediction it is.
    file
        The `.h5ad` or `.vcc`, readable by all.
    work
        An empty folder with room for the file, unpacked and written anew.
    start
        How its sandbox is started.
    seed
        As of `score_prediction`.

    Raises
    ------
    InputError
        If something of ours fails: the disk is full, the truth cannot be read, the sandbox was killed.
    """
    settings = course.stages[stage].prediction
    if settings is None:
        msg = f"the stage {stage} asks for no prediction file"
        raise InputError(msg)
    required = _required(course.public_folder, _changed(course.public_folder / "train.h5ad"))
    truth = truth_of(course)
    try:
        plain = _written_anew(course, file, settings, len(required.genes), work, start)
        findings = check_prediction(plain, required)
        if errors := [finding for finding in findings if finding.level == "error"]:
            with open_h5ad(plain):
                pass  # it is of our own making: where it cannot be opened, nothing is wrong with the student's
            more = f"; and {len(errors) - 1} more: starter check lists all" if len(errors) > 1 else ""
            return Refusal(_sentence(f"{errors[0]}{more}"), stopped=False)
        with SCORING:
            return score_prediction(plain, truth, settings.profile, seed)
    except InputError as error:
        if isinstance(error, MachineError) or isinstance(error.__cause__, OSError):  # also a share that went away
            raise
        return Refusal(_sentence(str(error)), isinstance(error, _StoppedError))


def truth_of(course: Course) -> Truth:
    """Open the hidden truth, once for all files."""
    return _truth(course.hidden_folder / TRUTH, _changed(course.hidden_folder / TRUTH / "truth.json"))


def score_file(submission: Submission, file: Path, work: Path) -> Scored:
    """Score a prediction file that a student handed in, and write its scorecard.

    Parameters
    ----------
    submission
        Whose it is.
    file
        The `.h5ad` or `.vcc`, readable by all.
    work
        An empty folder with room for the file, unpacked and written anew.

    Returns
    -------
    Share of the points and the reason; a file that cannot be scored earns nothing and the reason says what to do. Where
    the sandbox was stopped, which this machine may have caused, the points are held.

    Raises
    ------
    InputError
        If something of ours fails: the disk is full, the truth cannot be read, the sandbox was killed.
    """
    card = score_in_sandbox(submission.course, submission.stage, file, work)
    if isinstance(card, Refusal):
        return Scored(Verdict(0.0, card.reason, file.name), card.reason if card.stopped else "")
    settings = submission.course.stages[submission.stage].prediction
    assert settings is not None  # or it would not have been scored
    write_scorecard(card, submission.scorecard)
    scored = by_rubric(card, settings)
    return replace(scored, verdict=replace(scored.verdict, called=file.name))


def _written_anew(course: Course, file: Path, settings: Prediction, n_genes: int, work: Path, start: run.Start) -> Path:
    """Open a file in the sandbox and write what came out as a plain `.h5ad`."""
    limit = course.limits.prediction_mib << 20
    if file.suffix == ".vcc":
        unpacked = work / "unpacked.h5ad"
        _run(course, "unpack", file, n_genes, unpacked, limit, start)
        unpacked.chmod(0o644)
        file = unpacked
    stream = work / "values"
    _run(course, "read", file, n_genes, stream, SEASON_2025.size_limit(n_genes), start)
    # `plain` has the name that messages and the scorecard show
    plain = work / f"{Path(settings.file).stem}.h5ad"
    with stream.open("rb") as frames:
        content = each_frame(frames, values.MAX_BYTES)
        labels, genes, stored = (_value(content, name) for name in ("labels", "genes", "stored"))
        if not isinstance(labels, dict) or set(labels) - {TARGET_GENE, CONTEXT}:
            raise InputError(DAMAGED)
        if not all(isinstance(column, np.ndarray) and column.ndim == 1 for column in (genes, *labels.values())):
            raise InputError(DAMAGED)
        if len({len(column) for column in labels.values()}) != 1:
            raise InputError(DAMAGED)
        obs = pd.DataFrame({key: np.asarray(column, str) for key, column in labels.items()})
        obs.index = obs.index.astype(str)
        var = pd.DataFrame(index=pd.Index(genes.astype(str)))
        write_h5ad(plain, _blocks(content, len(obs), len(genes)), obs, var, stored=stored)
    stream.unlink()
    return plain


def _value(content: Iterator[tuple[str, bytes]], due: str) -> Any:
    name, value = next(content, ("", b""))
    if name != due:
        msg = f"the prediction cannot be read: its {due} did not come out of the sandbox"
        raise InputError(msg)
    if due == "stored" and not (value.isdigit() and len(value) < 20):
        raise InputError(DAMAGED)
    return int(value) if due == "stored" else values.decode(value)


def _blocks(content: Iterator[tuple[str, bytes]], n_cells: int, n_genes: int) -> Iterator[scipy.sparse.csr_matrix]:
    came = 0
    for name, value in content:
        if name == "end" and came == n_cells:
            return
        block = values.decode(value) if name == "cells" else None
        if block is None or not scipy.sparse.issparse(block) or block.shape[1] != n_genes:
            break
        if not 0 < block.shape[0] <= n_cells - came:  # empty ones might come for ever
            break
        came += block.shape[0]
        yield block
    msg = f"the prediction cannot be read: {came:,} of {n_cells:,} cells came out of the sandbox"
    raise InputError(msg)


def _run(course: Course, job: str, file: Path, n_genes: int, into: Path, limit: int, start: run.Start) -> None:
    limits = course.limits
    with into.open("wb") as sink:
        outcome = run.run(
            [f"{run.INSIDE}/read_prediction.py", job, file.name, str(n_genes)],
            read_only={
                KIT: contents.kit(course, ()),
                "/prediction/file": file,
            },
            seconds=limits.seconds,
            memory_gib=limits.memory_gib,
            processes=limits.processes,
            workdir="/home/student/work",
            into=sink,
            max_output=limit,
            start=start,
        )
    if outcome.status == "ended" and outcome.returncode == 0:
        return
    outcome.check_machine()
    if outcome.status == "ended" and outcome.returncode == DID_NOT_START:
        msg = f"the sandbox did not start ({last_line(outcome.errors)}); grade again"
        raise MachineError(msg)
    reasons = {
        "time": f"opening it took longer than {limits.seconds} s",
        "memory": f"opening it took more than {limits.memory_gib:g} GiB of memory",
        "output": f"it holds more than {limits.prediction_mib} MiB",
        "ended": "it broke the program that opens it",
    }
    if outcome.status == "ended" and outcome.returncode == REFUSED:
        raise InputError(outcome.errors)
    msg = f"{file.name} cannot be scored: {reasons[outcome.status]}; write it again with starter.prediction.write"
    raise _StoppedError(msg)


class _StoppedError(InputError):
    """The sandbox was stopped, by what is in the file or by what else this machine did: a person looks."""


def _sentence(text: str) -> str:
    return printable(" ".join(text.split()))[:REASON]


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns


@functools.lru_cache(maxsize=2)
def _required(folder: Path, changed: int) -> Requirements:
    del changed  # a part of the key: a course that was released anew is read anew
    return requirements_of_course(folder)


@functools.lru_cache(maxsize=2)
def _truth(folder: Path, changed: int) -> Truth:
    del changed
    return open_truth(folder)
