"""R's data files, read without R."""

import warnings
from pathlib import Path
from typing import Any

import rdata

from starter.errors import InputError


def read_rda(path: str | Path, name: str) -> Any:
    """Read one object of an `.rda` file.

    Parameters
    ----------
    path
        The file.
    name
        The object's name in it.

    Returns
    -------
    A data frame, dictionary or array; of a class that is not known, its slots.

    Raises
    ------
    InputError
        If it is no R file, or holds no such object.
    """
    try:
        with warnings.catch_warnings():
            # of a class without a reader (sparse matrix, tibble) come its slots or its parent class, as is wanted here
            warnings.filterwarnings("ignore", module=r"rdata\.")
            content = rdata.read_rda(path)
        return content[name]
    except Exception as error:  # whatever is in somebody's file
        msg = f"{path} is not the R file that was expected ({type(error).__name__}: {error}); download it again"
        raise InputError(msg) from error
