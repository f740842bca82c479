"""Which of a student's files is the stage's notebook, and which the prediction, however they were named or packed.

Browsers call a second download `X (1).ipynb`, Colab says `Copy of X.ipynb`, students hand in folders and archives. What
makes a notebook the stage's is that it carries the ids of its questions.
"""

import codecs
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import IO

from autograder.course import Course
from autograder.folders import ASSIGNMENTS
from autograder.handed_in.files import File, with_safe_names
from starter.assignment.files import MAX_FILES, NOTEBOOK
from starter.errors import listed

PREDICTION = (".h5ad", ".vcc")
LITTER = re.compile(
    r"(.*/)?(__MACOSX|\.ipynb_checkpoints)/.*|(.*/)?(\._[^/]*|\.DS_Store|Thumbs\.db|desktop\.ini)", re.IGNORECASE
)
"""What Finder, Explorer and Jupyter leave beside files; nobody hands it in on purpose."""
PACKED_IN_PACKED = 2
"""Archives within each other that are opened."""
BLOCK = 1 << 20
OVERLAP = 1 << 10
"""Characters that are looked at twice, so that an id is found across two blocks."""
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""How a text begins that says how it is encoded."""


@dataclass
class Recognised:
    """What of a student's files is taken, and under which names."""

    names: dict[str, str] = field(default_factory=dict)
    """Name that is due to the name that was given; of all files."""
    notes: list[str] = field(default_factory=list)
    fault: str = ""
    """Why there is nothing to grade."""


def without_litter(files: Mapping[str, File]) -> dict[str, File]:
    """Leave out what a machine put beside the files."""
    return {name: file for name, file in files.items() if not LITTER.fullmatch(name)}


def with_archives(course: Course, stage: str, files: Mapping[str, File], notes: list[str]) -> dict[str, File]:
    """Open `.zip` archives where what is due is not beside them: all of them for a notebook, else for a prediction.

    Other archives stay as they are, since the student's code may read them; one that cannot be opened is noted.
    """
    if not any(map(NOTEBOOK.fullmatch, files)) or recognise(course, stage, files).fault:
        return _unpacked(files, notes)
    if course.stages[stage].prediction and not any(name.lower().endswith(PREDICTION) for name in files):
        inside = _unpacked(files, notes)
        return {name: inside[name] for name in inside if name.lower().endswith(PREDICTION)} | dict(files)
    return dict(files)


def _unpacked(files: Mapping[str, File], notes: list[str], left: int = PACKED_IN_PACKED) -> dict[str, File]:
    """Put what archives hold in their place, and where something has that name in a folder called like the archive."""
    opened = {name: file for name, file in files.items() if not (left and name.lower().endswith(".zip"))}
    for name in (name for name in files if name not in opened):
        try:
            inside = _members(files[name])
        except Exception as error:  # noqa: BLE001  (whatever is in somebody's archive)
            notes.append(f"{name} cannot be opened ({str(error)[:100] or type(error).__name__})")
            opened[name] = files[name]
            continue
        folder = name.rpartition("/")[0]
        odd: list[str] = []
        there = _unpacked(without_litter(with_safe_names(inside, odd)), notes, left - 1)
        notes += [f"{name} holds {listed(odd)}, which was left out"] if odd else []
        for member, content in there.items():
            place = f"{folder}/{member}".lstrip("/")
            opened[place if place not in opened else f"{name[: -len('.zip')]}/{member}"] = content
    return opened


def _members(file: File) -> dict[str, File]:
    """List an archive that was handed in."""
    with file.open() as packed, zipfile.ZipFile(packed) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
    if len(infos) > 10 * MAX_FILES:
        msg = f"it holds {len(infos):,} files"
        raise ValueError(msg)
    if any(info.flag_bits & 1 for info in infos):
        msg = "it is encrypted"
        raise ValueError(msg)
    return {
        member_name(info.filename): File(info.file_size, file.changed, partial(_reading, file, info.filename))
        for info in infos
    }


@contextmanager
def _reading(file: File, member: str) -> Iterator[IO[bytes]]:
    with file.open() as packed, zipfile.ZipFile(packed) as archive, archive.open(member) as content:
        yield content


def member_name(name: str) -> str:
    """Give the name of an archive's member with `/` between folders, which some programs on Windows write otherwise."""
    return name.replace("\\", "/")


def recognise(course: Course, stage: str, names: Mapping[str, File]) -> Recognised:
    """Find the notebook and the prediction of a stage among a student's files.

    Parameters
    ----------
    names
        Files as they were handed in, by name.

    Returns
    -------
    The files under the names that are due: the folder of the notebook is where all begins. The notebook is the one
    with its due name, unless another one alone carries the stage's questions.
    """
    due = f"{stage}.ipynb"
    notebooks = [name for name in names if NOTEBOOK.fullmatch(name)]
    prediction = course.stages[stage].prediction
    predictions = [name for name in names if prediction and name.lower().endswith(PREDICTION)]
    marked = (
        [due] if notebooks == [due] else [name for name in notebooks if carries_questions(course, stage, names[name])]
    )
    done = Recognised()
    if due in marked or (due in names and not marked):
        chosen = due
    elif len(marked) == 1:
        chosen = marked[0]
        done.notes.append(f"{chosen} was taken as {due}, since it has the questions of this stage")
    elif marked:
        done.fault = f"{listed(marked)} have the questions of this stage; name the one that counts {due}"
        return done
    elif notebooks:
        done.fault = f"{listed(notebooks)} has none of the questions of this stage; name the notebook that counts {due}"
        return done
    elif predictions:
        chosen = None
    else:
        done.fault = f"there is no notebook, only {listed(list(names))}" if names else "there are no files"
        return done
    if others := [name for name in marked if name != chosen]:
        done.notes.append(f"{listed(others)} has the questions of this stage too; {chosen} was taken")
    folder = str(PurePosixPath(chosen).parent) + "/" if chosen and "/" in chosen else ""
    inside = {name.removeprefix(folder): name for name in names if name.startswith(folder)}
    done.names = {name: name for name in names if not name.startswith(folder)} | inside
    if chosen:
        del done.names[chosen.removeprefix(folder)]
        done.names[due] = chosen
    if prediction and len(predictions) == 1:
        (given,) = predictions
        named = str(PurePosixPath(prediction.file).with_suffix(PurePosixPath(given).suffix.lower()))
        if named not in done.names:
            done.names = {name: old for name, old in done.names.items() if old != given} | {named: given}
            done.notes.append(f"{given} was taken as {named}")
    return done


def carries_questions(course: Course, stage: str, file: File) -> bool:
    """Tell whether a file has the id of one of a stage's questions, without parsing it."""
    if not (ids := _ids(course, stage)):
        return False
    pattern = re.compile(rf'"grade_id"\s*:\s*"(?:{"|".join(map(re.escape, sorted(ids)))})"')
    with file.open() as content:
        start = content.read(BLOCK)
        decode = codecs.getincrementaldecoder(encoding_of(start))(errors="replace").decode
        seen, block = "", start
        while block:
            seen = seen[-OVERLAP:] + decode(block)
            if pattern.search(seen):
                return True
            block = content.read(BLOCK)
    return False


def encoding_of(start: bytes) -> str:
    """Name the encoding of a text by how it begins: by its byte order mark, else UTF-8."""
    return next((name for mark, name in MARKS if start.startswith(mark)), "utf-8")


def _ids(course: Course, stage: str) -> set[str]:
    """Read the question ids of a stage from the notebook that was given out; none if there is none yet."""
    path = course.root / ASSIGNMENTS / stage / f"{stage}.ipynb"
    if not path.is_file():
        return set()
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return {cell["metadata"]["nbgrader"]["grade_id"] for cell in cells if "nbgrader" in cell["metadata"]}
