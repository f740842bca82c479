import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from starter.errors import InputError
from starter.training import loop
from starter.training.threads import enough


@pytest.fixture(autouse=True)
def _three():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("numbers", "asked", "due"), [(10, None, 1), (999_999, None, 1), (1_000_000, None, 3), (10, 2, 2), (10**6, 1, 1)]
)
def test_a_small_network_is_run_by_one_thread_and_threads_are_as_before_afterwards(
    numbers: int, asked: int | None, due: int
):
    with enough(nn.Linear(numbers, 1, bias=False), asked):
        assert torch.get_num_threads() == due
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize(("asked", "due"), [(None, 1), (2, 2)])
def test_a_training_that_fails_leaves_as_many_threads_as_there_were(asked: int | None, due: int):
    found = []

    def loss(model: nn.Module, batch: tuple[torch.Tensor], over: float) -> dict[str, torch.Tensor]:
        del over
        found.append(torch.get_num_threads())
        return {"error": model(batch[0]).mean() * torch.nan}

    with pytest.raises(InputError, match="the loss is not finite"):
        loop.fit(nn.Linear(1, 1), loss, loop.in_memory(torch.ones(3, 1)), loop.Settings(epochs=1, threads=asked))
    assert found == [due]
    assert torch.get_num_threads() == 3


def test_no_thread_is_none():
    with pytest.raises(InputError, match="run by 1 thread or more, not by 0"), enough(nn.Linear(1, 1), 0):
        pass
