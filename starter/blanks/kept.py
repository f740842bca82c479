"""Values of the kit's own version, kept beside a notebook: what functions gave, and what cells showed and made.

They were made on the course's own data, of which students have all. There is no code among them.
"""

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from starter.answers import values
from starter.errors import InputError

FOLDER = "values"
"""In the folder of the checks: a file a blank, and one a cell."""
BESIDE = Path("checks") / FOLDER
"""From a notebook's folder."""


def blank_file(name: str) -> str:
    """Give the name of the file of a blank: `calls`, or None where cells are kept in their place."""
    return f"{name}.npz"


def cell_file(source: str) -> str:
    """Give the name of the file of a cell: its `outputs` by their types, and `names` that it made."""
    lines = "\n".join(line.rstrip() for line in source.strip().splitlines())
    return f"cell-{hashlib.sha256(lines.encode()).hexdigest()[:16]}.npz"


def read_kept(name: str) -> Any:
    """Read a file of kept values; None where there is none."""
    try:
        return values.decode((BESIDE / name).read_bytes())
    except OSError:
        return None


def kept_blanks() -> list[str]:
    """Name the blanks of which values are kept."""
    return sorted(path.stem for path in BESIDE.glob("*.npz") if not path.name.startswith("cell-"))


def packed(value: Any) -> dict[str, Any]:
    """Make of a value what can be kept, so that `unpacked` gives it again, with its type.

    Raises
    ------
    InputError
        If it is of a type that cannot be kept.
    """
    torch = sys.modules.get("torch")
    if type(value) in (tuple, list, set):
        return {"kind": type(value).__name__, "items": [packed(item) for item in value]}
    if type(value) is dict:
        return {"kind": "dict", "items": [[packed(key), packed(item)] for key, item in value.items()]}
    if isinstance(value, np.floating):
        return {"kind": "number", "value": float(value)}
    if torch is not None and type(value) is torch.Tensor and value.dtype not in (torch.bfloat16, torch.float16):
        return {"kind": "tensor", "value": value.detach().cpu().numpy()}
    if isinstance(value, pd.Series):
        return {"kind": "series", "value": value, "name": None if value.name is None else str(value.name)}
    if type(value) is pd.Index:
        return {"kind": "index", "value": value.to_series()}
    plain = (type(None), bool, int, float, str, np.bool_, np.ndarray, pd.DataFrame, scipy.sparse.csr_matrix)
    if isinstance(value, np.integer) or type(value) in plain:
        return {"kind": "plain", "value": value}
    msg = f"a {type(value).__name__} cannot be kept"
    raise InputError(msg)


def unpacked(kept: dict[str, Any]) -> Any:
    """Give the value of which `packed` made this."""
    kind = kept["kind"]
    if kind in ("tuple", "list", "set"):
        return {"tuple": tuple, "list": list, "set": set}[kind](unpacked(item) for item in kept["items"])
    if kind == "dict":
        return {unpacked(key): unpacked(item) for key, item in kept["items"]}
    if kind == "tensor":
        import torch

        return torch.from_numpy(np.array(kept["value"]))
    if kind == "series":
        return kept["value"].rename(kept["name"])
    if kind == "index":
        return kept["value"].index
    return np.float64(kept["value"]) if kind == "number" else kept["value"]
