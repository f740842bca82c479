"""Files that are handed in: how many, how large, how named, and which of them are taken."""

import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_FILES = 200
MAX_DEPTH = 10
"""Folders within each other."""
MAX_NAME = 500
"""Bytes of a file's name with its folders."""
MAX_NOTEBOOK = 256 << 20
"""Bytes of a notebook as it was handed in, with its output."""
NOTEBOOK = re.compile(r".*\.ipynb(\.txt|\.json)?", re.IGNORECASE)
"""Some browsers and mail programs add an ending."""


@dataclass(frozen=True)
class Sizes:
    """What may be handed in, in bytes."""

    files: int
    """All files but the notebook and the prediction."""
    prediction: int


def prediction_names(file: str) -> list[Path]:
    """Name the files that may be the prediction, as `.h5ad` and as `.vcc`, the one that is asked for first."""
    named = Path(file)
    return [named, named.with_suffix(".vcc" if named.suffix == ".h5ad" else ".h5ad")]


def taken_files(
    source: Path, predictions: Collection[Path], sizes: Sizes, notes: list[str]
) -> Iterator[tuple[Path, Path]]:
    """Give the files of a folder that are taken, as name and path, in order.

    Parameters
    ----------
    source
        The folder that was handed in.
    predictions
        Names that the prediction may have.
    sizes
        How large files may be.
    notes
        Receives a sentence for what is left out.
    """
    limit, largest = sizes.files, sizes.prediction
    size = n_files = notebooks = 0
    for folder, folders, files in os.walk(source, followlinks=False):
        folders.sort()
        relative = Path(folder).relative_to(source)
        if len(relative.parts) >= MAX_DEPTH and folders:
            notes.append(f"{relative} holds folders more than {MAX_DEPTH} deep, which were left out")
            folders.clear()
        for name in (name for name in folders if Path(folder, name).is_symlink()):
            notes.append(f"{relative / name} is a link and was left out")
        for name in sorted(files):
            path = Path(folder, name)
            if len(os.fsencode(relative / name)) > MAX_NAME or not os.access(path, os.R_OK, follow_symlinks=False):
                notes.append(f"{str(relative / name)[:100]} cannot be read or has too long a name, and was left out")
                continue
            about = path.lstat()
            if not stat.S_ISREG(about.st_mode):
                notes.append(f"{relative / name} is not a regular file and was left out")
            elif relative / name in predictions:
                if about.st_size <= largest:
                    yield relative / name, path
                else:
                    notes.append(f"{relative / name} was left out: a prediction has at most {largest >> 20} MiB")
            elif NOTEBOOK.fullmatch(name) and n_files < MAX_FILES and notebooks + about.st_size <= MAX_NOTEBOOK:
                notebooks += about.st_size  # most of it may be output, which is dropped
                n_files += 1
                yield relative / name, path
            elif size + about.st_size > limit or n_files >= MAX_FILES:
                notes.append(
                    f"{relative / name} was left out: at most {limit >> 20} MiB in {MAX_FILES} files are taken"
                )
            else:
                size += about.st_size
                n_files += 1
                yield relative / name, path
