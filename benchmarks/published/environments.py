"""One virtual environment a model, with its pins: what these need beside each other does not go together."""

import subprocess
import sys
from pathlib import Path

from starter.errors import InputError

PINS = Path(__file__).parent
"""Holds `<model>.txt`, the pins of each model."""
DONE = "installed.txt"
"""Marks an environment that was made whole: the pins that it was made of."""


def python_of(model: str, folder: Path) -> Path:
    """Make a model's environment if it is not there as its pins say, and give its interpreter.

    Parameters
    ----------
    model
        Its name, as in `<model>.txt`.
    folder
        Receives the environments, a folder each, of 1.5 to 3 GB.

    Raises
    ------
    InputError
        If pip cannot install it.
    """
    pins = (PINS / f"{model}.txt").read_text(encoding="utf-8")
    home = folder / model
    python = home / "bin" / "python"
    if (home / DONE).is_file() and (home / DONE).read_text(encoding="utf-8") == pins:
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
    command = [python, "-m", "pip", "install", "--quiet", "--requirement", PINS / f"{model}.txt"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        said = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")]
        msg = f"pip cannot install {model} into {home}: {said[0] if said else ended.stderr[-200:]}; see {model}.txt"
        raise InputError(msg)
    (home / DONE).write_text(pins, encoding="utf-8")
    return python
