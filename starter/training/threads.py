"""How many threads a network is worth: in a small one they wait for each other longer than they work.

This module needs torch (the extra `student`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from starter.errors import InputError

SMALL = 1_000_000
"""Parameters; a network of fewer is run by one thread. All networks of the notebooks are such."""


@contextmanager
def enough(model: nn.Module, threads: int | None = None) -> Iterator[None]:
    """Let torch use as many threads as a network is worth while the block runs; afterwards it has as many as before.

    Parameters
    ----------
    model
        The network that is trained or asked.
    threads
        How many; default: 1 for a network of fewer than `SMALL` parameters, else as many as torch has. The number goes
        by the network alone and never by how busy a machine is, since sums by more threads round otherwise.

    Raises
    ------
    InputError
        If fewer than one thread is asked for.
    """
    if threads is not None and threads < 1:
        msg = f"a network is run by 1 thread or more, not by {threads}; leave threads out"
        raise InputError(msg)
    before = torch.get_num_threads()
    if threads is None:
        threads = 1 if sum(parameter.numel() for parameter in model.parameters()) < SMALL else before
    try:
        torch.set_num_threads(threads)
        yield
    finally:
        torch.set_num_threads(before)
