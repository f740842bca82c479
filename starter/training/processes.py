"""Several processes that train one model together, started by torchrun: who they are, and their shares of a batch."""

import atexit
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from starter.errors import InputError

Result = TypeVar("Result")


class Processes(NamedTuple):
    """Where a process stands among those that train together."""

    rank: int
    """Its number, from 0."""
    count: int
    """How many there are."""

    def device(self, name: str | None) -> torch.device:
        """Choose a device: the one that is named, or else a GPU where there is one, each process its own."""
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        if device.type == "cuda" and self.count > 1:
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)  # what is exchanged between processes goes by it
        return device

    def wrap(self, module: nn.Module, device: torch.device) -> nn.Module:
        """Let the gradients of a module be averaged over the processes."""
        if self.count == 1:
            return module
        return DistributedDataParallel(module, device_ids=[device.index] if device.type == "cuda" else None)

    def alike(self, batches: Iterable, seed: int, device: torch.device) -> Iterator:
        """Give batches, each once it was found to be the same in every process.

        What the batches draw of torch while they are made, as `DataLoader(shuffle=True)` does, comes from the seed;
        what is drawn while they are used goes on undisturbed.

        Raises
        ------
        InputError
            If they differ, since parts of different batches are no batch: some examples would be learned from twice,
            and others never.
        """
        if self.count == 1:
            yield from batches
            return
        end = object()
        waiting, theirs = iter(batches), torch.Generator().manual_seed(seed).get_state()
        while True:
            own = torch.get_rng_state()
            torch.set_rng_state(theirs)
            batch = next(waiting, end)
            theirs = torch.get_rng_state()
            torch.set_rng_state(own)
            mine = torch.tensor([-1 if batch is end else _checksum(batch)], device=device)
            sums = [torch.empty_like(mine) for _ in range(self.count)]
            distributed.all_gather(sums, mine)
            if len({int(each) for each in sums}) > 1:
                msg = (
                    f"the {self.count} processes were given different batches; draw their order by a seed, the same in "
                    "every process, as starter.training.loop.in_memory does"
                )
                raise InputError(msg)
            if batch is end:
                return
            yield batch

    def share(self, batch: object, device: torch.device) -> object:
        """Give this process's examples of a batch, on its device.

        Raises
        ------
        InputError
            If there are fewer examples than processes.
        """
        if (n := n_examples(batch)) < self.count:
            msg = f"a batch of {n} examples cannot be shared between {self.count} processes; make larger batches"
            raise InputError(msg)

        def own(tensor: Tensor) -> Tensor:
            part = tensor.tensor_split(self.count)[self.rank] if tensor.ndim else tensor
            return part.to(device, non_blocking=True)

        return _changed(batch, own)

    def sum(self, value: Tensor) -> Tensor:
        """Add up a number over the processes."""
        if self.count > 1:
            distributed.all_reduce(value)
        return value

    def first(self, work: Callable[..., Result], *given: object) -> Result:
        """Do something in the first process only, and give all of them what came of it."""
        came: list[Any] = [work(*given) if self.rank == 0 else None]
        if self.count > 1:
            distributed.broadcast_object_list(came)
        return came[0]


def join() -> Processes:
    """Find out from torchrun's environment who trains together; alone if nothing is said there."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes(0, 1)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        atexit.register(distributed.destroy_process_group)
    return Processes(distributed.get_rank(), distributed.get_world_size())


def n_examples(batch: object) -> int:
    """Count the examples of a batch: the first dimension of its tensors.

    Raises
    ------
    InputError
        If there are no tensors with dimensions, or they do not agree.
    """
    lengths = sorted({len(tensor) for tensor in _tensors(batch) if tensor.ndim})
    if len(lengths) != 1:
        msg = f"the tensors of a batch have one length in their first dimension; these have {lengths or 'none'}"
        raise InputError(msg)
    return lengths[0]


def _checksum(batch: object) -> int:
    """Give a number that tells batches apart: of the bytes of their tensors, in their order."""
    found = 0
    for tensor in _tensors(batch):
        found = zlib.crc32(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data, found)
    return found


def _tensors(batch: object) -> Iterator[Tensor]:
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping | tuple | list):
        for part in batch.values() if isinstance(batch, Mapping) else batch:
            yield from _tensors(part)


def _changed(batch: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change every tensor of a batch."""
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, Mapping):
        return {key: _changed(part, change) for key, part in batch.items()}
    if isinstance(batch, tuple | list):
        parts = [_changed(part, change) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    return batch
