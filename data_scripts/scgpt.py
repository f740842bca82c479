"""The published whole-human weights of scGPT, 205 MB, as `starter.scgpt.load` and notebook 08 take them."""

import shutil
from pathlib import Path

from data_scripts.download import obtain
from starter.files import whole

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
    DownloadError
        If a file cannot be had.
    """
    folder = Path(folder)
    _, paths = obtain(NAME, folder)
    for path in paths:
        if path.parent != folder:
            with whole(folder / path.name) as part:
                shutil.copyfile(path, part)
    return folder
