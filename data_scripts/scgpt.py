"""The published whole-human weights of scGPT, 205 MB, as `starter.models.scgpt.weights` and notebook 08 take them."""

import shutil
from pathlib import Path

from data_scripts.download import obtain
from starter.errors import InputError

NAME = "scgpt_human"


def build(folder: str | Path) -> Path:
    """Get the checkpoint.

    Parameters
    ----------
    folder
        Receives `args.json`, `best_model.pt` and `vocab.json`.

    Returns
    -------
    The folder.

    Raises
    ------
    InputError
        If a file cannot be had, or the folder not be written.
    """
    folder = Path(folder)
    _, paths = obtain(NAME, folder)
    for path in paths:
        if path.parent != folder:
            part = folder / (path.name + ".part")
            try:
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, part)
                part.replace(folder / path.name)
            except OSError as error:
                msg = f"cannot write {folder / path.name}: {error.strerror}; choose another folder"
                raise InputError(msg) from error
    return folder
