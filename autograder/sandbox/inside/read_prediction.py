"""Runs INSIDE the sandbox: opens a student's prediction and sends what it holds as plain values.

No code of the student's runs here, but a crafted file may break the libraries that read it. What is wrong with a file
goes to standard error in one sentence.
"""

import os
import sys
from pathlib import Path
from typing import BinaryIO

PREDICTION = Path("/prediction/file")
REFUSED = 3
"""Exit status where the file is at fault, and standard error says why."""


def main(job: str, name: str, n_genes: int) -> None:
    """Do a job: `unpack` writes the `.h5ad` of an upload to standard output, `read` the values of an `.h5ad`."""
    from starter.errors import InputError

    channel = os.fdopen(os.dup(1), "wb")
    try:
        if job == "unpack":
            from starter.prediction.vcc import extract

            extract(PREDICTION, channel, n_genes)
        else:
            send_values(channel, name)
    except Exception as error:  # noqa: BLE001  (whatever a crafted file makes the libraries raise)
        what = "it takes more memory than there is" if isinstance(error, MemoryError) else type(error).__name__
        reason = str(error) if isinstance(error, InputError) else f"{name} cannot be read: {what}"
        sys.stderr.write(reason.replace(str(PREDICTION), name))
        sys.exit(REFUSED)
    channel.close()


def send_values(channel: BinaryIO, name: str) -> None:
    """Send labels, genes and, a block of cells at a time, the values."""
    import numpy as np
    from frames import write_frame  # beside this file, inside

    from starter.answers import values
    from starter.data.h5ad import check_sparse
    from starter.schema import CONTEXT, TARGET_GENE
    from starter.scoring.screens.opened import open_screen

    with open_screen(PREDICTION, name, controls=False, predicted=True) as screen:
        labels = {TARGET_GENE: screen.labels}
        if CONTEXT in screen.obs:
            labels[CONTEXT] = screen.contexts
        write_frame(channel, "labels", values.encode(labels))
        write_frame(channel, "genes", values.encode(screen.genes))
        at_most = screen.n_bytes // 4  # values, by the smallest that one takes
        write_frame(channel, "stored", str(at_most).encode())
        for block in screen.cells.read(np.ones(len(screen.obs), bool)):
            check_sparse(block)
            write_frame(channel, "cells", values.encode(block))
        write_frame(channel, "end", b"")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
