"""A whole notebook, run in the sandbox as Jupyter would run it: seconds, memory and errors of every cell.

Unlike grading, it runs the cells that are not graded too, and has the time and the memory of this machine.
"""

import io
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from autograder.course import FILE, Course
from autograder.sandbox import contents, run
from autograder.sandbox.bubblewrap import COURSE_ROOT, KIT
from autograder.sandbox.inside.frames import each_frame
from autograder.sandbox.ready import MachineError, NoSandboxError, gpu_devices, last_line

SECONDS = 3 * 3600
"""For a notebook, which a student's machine would let run for ever."""
START_SECONDS = 60
"""For the interpreter, besides."""
ROOM_MIB = 1024
"""For what a notebook writes besides the files that are wanted."""
CELL = "cell "
"""Before a cell's number in the name of its frame."""


@dataclass(frozen=True)
class CellRun:
    """How one code cell ran."""

    number: int
    """In the notebook, from 1."""
    seconds: float
    error: str
    """What it raised, in a line; empty if nothing."""
    left_out: str
    """Why the cell was left out, where it needs what the course's data do not have; else empty."""
    peak: int
    """The most memory in bytes that the notebook had used at its end."""


@dataclass(frozen=True)
class NotebookRun:
    """How a notebook ran."""

    cells: list[CellRun]
    """Those that came to their end, in order."""
    stopped: str
    """Why it did not come to its own end, in a few words; empty if it did."""

    @property
    def seconds(self) -> float:
        """Time of all cells."""
        return sum(cell.seconds for cell in self.cells)

    @property
    def peak(self) -> int:
        """Most memory in bytes."""
        return max((cell.peak for cell in self.cells), default=0)


@dataclass(frozen=True)
class ToKeep:
    """What is kept of a run, for students to go on with; cells by their numbers."""

    blanks: dict[int, list[str]] = field(default_factory=dict)
    """Functions and classes that a cell defines and that students write."""
    cells: dict[int, list[str]] = field(default_factory=dict)
    """Names that a cell makes and others need, of cells that depend on a blank."""
    checks: list[int] = field(default_factory=list)
    """Cells that check."""

    @property
    def files(self) -> list[str]:
        """Where it comes."""
        names = [name for of_cell in self.blanks.values() for name in of_cell]
        return [f"kept/{name}.npz" for name in (*names, *self.cells)]


NOTHING = ToKeep()


def run_notebook(
    course: Course,
    stage: str,
    folder: Path,
    wanted: Sequence[str] = (),
    into: Path | None = None,
    without: Sequence[str] = (),
    report: Callable[[], None] = lambda: None,
    keep: ToKeep = NOTHING,
) -> NotebookRun:
    """Run all cells of a stage's notebook where a student works: in the course's folder, with the students' data.

    Parameters
    ----------
    course
        The course; its data were released.
    stage
        The stage.
    folder
        Holds the notebook and what lies beside it, such as the local checks' cases.
    wanted
        Names of files that the notebook writes and that are kept.
    into
        The folder that receives those of them that are there at the end, and what is kept.
    without
        Modules of `starter` that students do not have yet.
    report
        Called after each cell.
    keep
        What to keep besides: values that students go on with.

    Raises
    ------
    NoSandboxError
        If the sandbox did not start.
    MachineError
        If it was killed, or did not come to the notebook.
    """
    cells = json.loads((folder / f"{stage}.ipynb").read_text(encoding="utf-8"))["cells"]
    n_cells = sum(cell["cell_type"] == "code" for cell in cells)
    limits = course.limits
    with tempfile.TemporaryDirectory(prefix="job-", dir=folder.parent) as place:
        job = Path(place)
        content = {"notebook": f"{stage}.ipynb", "submission": "/submission", "seconds": SECONDS, "send": list(wanted)}
        (job / "job.json").write_text(json.dumps({**content, "keep": asdict(keep)}), encoding="utf-8")
        (job / FILE).write_text(f'[course]\nname = "{course.name}"\n', encoding="utf-8")
        run.open_to_all(job)
        run.open_to_all(folder)
        given = {
            KIT: contents.kit(course, without),
            "/job": job,
            "/submission": folder,
            f"{COURSE_ROOT}/{FILE}": job / FILE,
            f"{COURSE_ROOT}/data/{course.name}": course.public_folder,
        }
        if filled := contents.filled_caches(course):
            given["/caches"] = filled
        room = (ROOM_MIB + (2 * limits.prediction_mib if wanted else 0)) << 20
        with _Followed(job / "stream", n_cells, report) as stream:
            outcome = run.run(
                [f"{run.INSIDE}/run_notebook.py", "/job"],
                read_only=given,
                seconds=SECONDS + START_SECONDS,
                memory_gib=max(limits.memory_gib, psutil.virtual_memory().total / 2**30),
                processes=limits.processes,
                devices=gpu_devices() if limits.gpu else (),
                workdir=f"{COURSE_ROOT}/assignments/{stage}",
                into=stream,
                max_output=room,
                scratch=room,
            )
            stream.seek(0)
            told, ready, ended = [], False, False
            for name, frame in each_frame(stream, room):
                ready, ended = ready or name == "ready", ended or name == "end"
                if name.startswith(CELL):
                    told.append((int(name.removeprefix(CELL)), json.loads(frame)))
                elif name in (*wanted, *keep.files) and into is not None:
                    (into / name).parent.mkdir(parents=True, exist_ok=True)
                    (into / name).write_bytes(frame)
    outcome.check_machine()
    if not ready:
        msg = f"the sandbox did not come to the notebook of {stage} ({last_line(outcome.errors)})"
        raise NoSandboxError(msg) if outcome.status == "ended" else MachineError(msg)
    ran = [
        CellRun(number, cell["seconds"], cell["error"] or "", cell["left_out"], cell["peak"]) for number, cell in told
    ]
    if told and told[-1][1]["out_of_time"]:
        return NotebookRun(ran, f"all cells together took longer than {SECONDS / 3600:g} hours")
    return NotebookRun(ran, "" if ended else _why(outcome))


def _why(outcome: run.Outcome) -> str:
    return {
        "time": f"it took longer than {SECONDS / 3600:g} hours",
        "memory": "it took more memory than this machine has",
        "output": "it wrote larger files than the course's limits take",
        "ended": f"it ended its own process (exit status {outcome.returncode})",
    }[outcome.status]


class _Followed(io.FileIO):
    """A file that tells of each cell whose frame is written to it."""

    def __init__(self, path: Path, n_cells: int, report: Callable[[], None]) -> None:
        super().__init__(path, "wb+")
        self.left = n_cells
        self.report = report
        self.at = 0

    def write(self, content: bytes) -> int:
        """Append, and tell of what is complete; after the last cell come files, which may be large."""
        written = super().write(content)
        if self.left:
            self.seek(self.at)
            for name, _ in each_frame(self, len(content) + self.at):
                self.at = self.tell()
                if name.startswith(CELL):
                    self.left -= 1
                    self.report()
            self.seek(0, io.SEEK_END)
        return written
