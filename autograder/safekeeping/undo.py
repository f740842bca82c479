"""One step back: what the last command changed is put back as it was."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from autograder.course import Course
from autograder.folders import GRADEBOOK, GRADING, UNDO
from autograder.grading.lock import hold
from autograder.safekeeping.book_copy import given_by_hand, hash_gradebook, replace_gradebook
from autograder.safekeeping.step import (
    BESIDE,
    FILES,
    LAST,
    RUNNING,
    TAKING_BACK,
    Listing,
    Step,
    bring,
    look,
    only_one,
    read_step,
)
from autograder.text import both_times
from starter.errors import InputError, counted, listed
from starter.files import reason_of


def undo(course: Course, agree: Callable[[str], bool], *, force: bool = False) -> bool:
    """Take back the last `collect`, `grade` or `release` that changed something.

    Parameters
    ----------
    agree
        Is given what will be done, a line each; says whether to do it.
    force
        Whether to go on although something was changed by hand since, which is lost then.

    Returns
    -------
    Whether it was done. Stopped half-way, it is finished by the next call.

    Raises
    ------
    InputError
        If there is nothing to take back, another command is at work, what was kept is damaged, or, without `force`,
        something was changed since.
    """
    with only_one(course) as alone, hold(course, *course.stages):
        if not alone:
            msg = "another autograder command is at work in this course; wait until it ends"
            raise InputError(msg)
        folder, step = _last_step(course)
        now = look(course, step)
        plan = [f"takes back {step} of {both_times(step.began, course.zone())}", *_counts(step.before, now)]
        if step.book_before != step.book_after:
            plan.append("the gradebook says again what it said before")
        if not (folder / TAKING_BACK).exists() and (lost := _changed_since(course, folder, step, now)):
            if not force:
                msg = (
                    f"{step} is not taken back, since more would be lost: {'; '.join(lost)}. To lose that, write a "
                    "backup first (autograder backup FILE), then: autograder undo --force"
                )
                raise InputError(msg)
            plan += [f"is lost: {what}" for what in lost]
        if not agree("\n".join(plan)):
            return False
        try:
            (folder / TAKING_BACK).touch()
            _put_back(course.root, folder / FILES, step.before, now)
            _put_book_back(course, folder, step)
        except OSError as error:
            msg = f"stopped half-way ({reason_of(error)}); make room, or see who may write there, then: autograder undo"
            raise InputError(msg) from error
        shutil.rmtree(folder)
    return True


def _last_step(course: Course) -> tuple[Path, Step]:
    """Find the step to take back, and see that what was kept of it is whole."""
    for name in (RUNNING, LAST):
        folder = course.grading / UNDO / name
        if (step := read_step(folder)) is not None:
            break
    else:
        msg = "there is nothing to take back: the last collect, grade or release can be, once"
        raise InputError(msg)
    if (beside := folder / BESIDE).exists():
        msg = f"{beside.read_text()} ran at the same time as {step}, so neither can be taken back; restore a backup"
        raise InputError(msg)
    kept = {name: folder / FILES / name for name, about in step.before.items() if about is not None}
    if changed := [name for name, path in kept.items() if _about(path) != step.before[name]]:
        msg = f"{step} cannot be taken back: what was kept of {listed(changed)} was changed; restore a backup"
        raise InputError(msg)
    return folder, step


def _about(path: Path) -> tuple[int, int] | None:
    return (path.lstat().st_size, path.lstat().st_mtime_ns) if path.exists() else None


def _counts(before: Listing, now: Listing) -> list[str]:
    """Say what goes and what comes back, a line a folder."""
    changes: dict[str, list[int]] = {}
    for name in before | now:
        if before.get(name) != now.get(name):
            parts = Path(name).parts
            group = changes.setdefault("/".join(parts[: 2 if parts[0] == GRADING else 1]), [0, 0, 0])
            group[0 if before.get(name) is None else 1 if now.get(name) is None else 2] += 1
    says = ("removed", "brought back", "changed back")
    return [
        f"{group}: " + ", ".join(f"{counted(n, 'file')} {what}" for n, what in zip(numbers, says, strict=True) if n)
        for group, numbers in sorted(changes.items())
    ]


def _changed_since(course: Course, folder: Path, step: Step, now: Listing) -> list[str]:
    """Say what somebody changed after the command, files and what was given by hand."""
    said = []
    if step.after is not None:
        names = sorted(name for name in step.after | now if step.after.get(name) != now.get(name))
        said += [f"{listed(names)} changed"] if names else []
    if step.command == "collect":
        return said
    book = course.grading / GRADEBOOK
    try:
        marks = sorted(given_by_hand(book) - given_by_hand(folder / GRADEBOOK))
        changed = step.after is not None and hash_gradebook(book) != step.book_after
    except InputError as error:
        return [*said, str(error)]
    given = [f"{student}, {stage}, {cell}: {kind} {value}" for student, stage, cell, kind, value in marks]
    said += [f"given by hand: {listed(given)}"] if given else []
    return said if given or not changed else [*said, "the gradebook was changed"]


def _put_back(root: Path, kept: Path, before: Listing, now: Listing) -> None:
    """Make files and folders what they were; each is replaced in one go."""
    for name in sorted(now, key=lambda name: name.count("/"), reverse=True):
        path = root / name
        if name in before and (before[name] is None) == (now[name] is None):
            continue
        if now[name] is not None:
            path.unlink(missing_ok=True)
            continue
        with suppress(OSError):  # a link that is none of ours may be in it
            path.rmdir()
            for parent in path.parents:  # submitted/STUDENT, which had this stage alone
                if parent in (root, root / GRADING):
                    break
                parent.rmdir()
    for name in sorted(before, key=lambda name: name.count("/")):
        about, path = before[name], root / name
        if about is None:
            path.mkdir(parents=True, exist_ok=True)
        elif now.get(name) != about:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{path.name[:100]}.undo.part")
            part.unlink(missing_ok=True)
            bring(kept / name, part)
            part.replace(path)


def _put_book_back(course: Course, folder: Path, step: Step) -> None:
    book = course.grading / GRADEBOOK
    if step.book_before is not None:
        replace_gradebook(folder / GRADEBOOK, book)
    elif step.command != "collect":
        book.unlink(missing_ok=True)
