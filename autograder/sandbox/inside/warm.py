"""Runs INSIDE the sandbox before any submission: does what libraries do at first use, and sends what they keep."""

import os
from pathlib import Path

SCRATCH = Path("/tmp")
CACHES = ("MPLCONFIGDIR", "NUMBA_CACHE_DIR")
"""Variables with the folders below `SCRATCH` where libraries keep something; an installation may lie there too."""


def main() -> None:
    """Find matplotlib's fonts and compile the kernels that students' cells use; send the files kept of it."""
    import matplotlib.font_manager  # noqa: F401  (its import looks for fonts)
    import numpy as np
    import scipy.sparse
    from frames import write_frame  # beside this file, inside

    from starter.statistics.de import CELL_EVAL_082, de_table

    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (30, 20))
    groups = np.repeat([0, 1, 2], 10)
    for dtype in (np.float32, np.float64):
        de_table(scipy.sparse.csr_matrix(np.log1p(counts), dtype=dtype), groups, 3, CELL_EVAL_082)
    with os.fdopen(os.dup(1), "wb") as channel:
        for folder in (Path(os.environ[variable]) for variable in CACHES):
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                write_frame(channel, str(path.relative_to(SCRATCH)), path.read_bytes())
        write_frame(channel, "end", b"")


if __name__ == "__main__":
    main()
