import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from starter import plots
from starter.errors import InputError
from starter.training import loop
from starter.training.loop import Settings, fit, in_memory, seeded

ROOT = Path(__file__).parents[3]


def data(n: int = 50) -> tuple[Tensor, Tensor]:
    """Examples of y = 2 a - 3 b + 1, without noise."""
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(n, 2))).float()
    return x, x @ torch.tensor([[2.0], [-3.0]]) + 1


def linear(seed: int = 0) -> nn.Module:
    with seeded(seed):
        return nn.Linear(2, 1)


def squared(model: nn.Module, batch: tuple[Tensor, Tensor], over: float) -> dict[str, Tensor]:
    del over
    x, y = batch
    return {"squared error": ((model(x) - y) ** 2).mean()}


def weights(model: nn.Module) -> list[float]:
    return [float(value) for parameter in model.parameters() for value in parameter.detach().ravel()]


def test_it_finds_the_line_that_made_the_data():
    model = linear()
    history = fit(model, squared, in_memory(*data(), batch_size=10), Settings(epochs=150, learning_rate=0.05))
    assert weights(model) == pytest.approx([2, -3, 1], abs=1e-3)
    assert list(history.columns) == ["loss", "learning_rate", "seconds"]
    assert list(history.index[:3]) == [1, 2, 3]
    assert history["loss"].iloc[-1] < 1e-5 < history["loss"].iloc[0]


def test_a_step_is_that_of_torchs_adam():
    x, y = data(8)
    model, by_hand = linear(), linear()
    fit(model, squared, lambda epoch: [(x, y)] * 3, Settings(epochs=1, schedule="constant", clip=None))
    adam = torch.optim.Adam(by_hand.parameters(), 1e-3)
    for _ in range(3):
        adam.zero_grad()
        ((by_hand(x) - y) ** 2).mean().backward()
        adam.step()
    assert weights(model) == weights(by_hand)


def test_the_loss_of_an_epoch_is_the_mean_over_its_examples():
    x, y = data(7)
    batches = [(x[:4], y[:4]), (x[4:], y[4:])]
    model = linear()
    expected = float(((model(x) - y) ** 2).mean().detach())
    history = fit(model, squared, lambda epoch: batches, Settings(epochs=1, learning_rate=1e-12))
    assert history["loss"].item() == pytest.approx(expected, rel=1e-6)


def test_terms_are_kept_apart_and_their_sum_is_the_loss():
    def two(model: nn.Module, batch: tuple[Tensor, Tensor], over: float) -> dict[str, Tensor]:
        return {**squared(model, batch, over), "size": 0.5 * model.weight.square().sum()}

    history = fit(linear(), two, in_memory(*data()), Settings(epochs=2))
    assert list(history.columns[:3]) == ["loss", "squared error", "size"]
    assert history.attrs["terms"] == ["squared error", "size"]
    np.testing.assert_allclose(history["loss"], history["squared error"] + history["size"])


@pytest.mark.parametrize(
    ("schedule", "due"),
    [("constant", [1.0] * 4), ("step", [1, 0.5, 0.25, 0.125]), ("cosine", [1, 0.8535534, 0.5, 0.1464466])],
)
def test_the_learning_rate_falls_as_asked(schedule: str, due: list[float]):
    settings = Settings(epochs=4, learning_rate=1e-3, schedule=schedule, step_factor=0.5)
    history = fit(linear(), squared, in_memory(*data(), batch_size=100), settings)
    np.testing.assert_allclose(history["learning_rate"], 1e-3 * np.array(due), rtol=1e-6)


def test_a_loss_is_told_how_much_of_the_training_is_over():
    told = []

    def listening(model: nn.Module, batch: tuple[Tensor, Tensor], over: float) -> dict[str, Tensor]:
        told.append(over)
        return squared(model, batch, over)

    fit(linear(), listening, in_memory(*data(20), batch_size=10), Settings(epochs=2))
    assert told == [0, 0.25, 0.5, 0.75]


def test_a_long_gradient_is_shortened():
    x, y = data(8)
    one, other = linear(), linear()
    lengths = []
    for model, clip in ((one, None), (other, 0.1)):
        fit(model, squared, lambda epoch: [(x, y)], Settings(epochs=1, clip=clip, learning_rate=1e-9))
        lengths.append(float(torch.cat([p.grad.ravel() for p in model.parameters()]).norm()))
    assert lengths[0] > 1
    assert lengths[1] == pytest.approx(0.1, rel=1e-4)


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 16), nn.Dropout(0.5), nn.Linear(16, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def noisy() -> nn.Module:
    with seeded(3):
        return Noisy()


def test_the_same_seed_gives_the_same_weights_and_leaves_torchs_own_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    models = [noisy() for _ in range(3)]
    for model, seed in zip(models, (0, 0, 1), strict=True):
        fit(model, squared, in_memory(*data(), batch_size=8), Settings(epochs=3, seed=seed))
    assert torch.equal(torch.get_rng_state(), before)
    assert weights(models[0]) == weights(models[1])
    assert weights(models[0]) != weights(models[2])


def test_the_best_epoch_is_kept_and_patience_ends_the_training():
    values = iter([0.2, 0.5, 0.4, 0.3, 0.9])
    seen = []

    def validate(model: nn.Module) -> dict[str, float]:
        assert not model.training
        assert not torch.is_grad_enabled()
        seen.append(weights(model))
        return {"discrimination_score_l1": next(values)}

    settings = Settings(epochs=9, watch="discrimination_score_l1", patience=2)
    model = linear()
    history = fit(model, squared, in_memory(*data()), settings, validate)
    assert list(history["discrimination_score_l1"]) == [0.2, 0.5, 0.4, 0.3]
    assert weights(model) == seen[1]


def test_of_an_error_the_lowest_is_the_best():
    values, seen = iter([0.2, 0.1, 0.4]), []

    def validate(model: nn.Module) -> dict[str, float]:
        seen.append(weights(model))
        return {"mae": next(values)}

    model = linear()
    fit(model, squared, in_memory(*data()), Settings(epochs=3, watch="mae"), validate)
    assert weights(model) == seen[1]


@pytest.mark.parametrize(("direction", "kept"), [("higher", 1), ("lower", 0)])
def test_of_a_value_of_ones_own_the_direction_is_asked_for(direction: str, kept: int):
    values, seen = iter([0.2, 0.5, 0.4]), []

    def validate(model: nn.Module) -> dict[str, float]:
        seen.append(weights(model))
        return {"hit rate": next(values)}

    settings = Settings(epochs=3, watch="hit rate")
    with pytest.raises(InputError, match=r"'hit rate' is watched.*higher or a lower.*Settings\(direction=\"higher\"\)"):
        fit(linear(), squared, in_memory(*data()), settings, validate)
    assert not seen  # it is asked before anything is trained
    model = linear()
    fit(model, squared, in_memory(*data()), replace(settings, direction=direction), validate)
    assert weights(model) == seen[kept]


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_value_that_is_watched_is_a_number(epoch: int):
    def validate(model: nn.Module) -> dict[str, float]:
        values.append(0.5 if len(values) + 1 < epoch else float("nan"))
        return {"mae": values[-1]}

    values: list[float] = []
    with pytest.raises(InputError, match=f"'mae' is watched and is NaN in epoch {epoch}, so that no epoch is the best"):
        fit(linear(), squared, in_memory(*data()), Settings(epochs=3, watch="mae"), validate)


def test_a_training_that_was_stopped_goes_on_with_the_same_numbers(tmp_path: Path):
    settings = Settings(epochs=6, watch="mae")

    class Stopped(Exception):
        pass

    def validate(model: nn.Module) -> dict[str, float]:
        x, y = data()
        return {"mae": float((model(x) - y).abs().mean())}

    batches = in_memory(*data(), batch_size=8)

    def until_the_fourth(epoch: int) -> object:
        if epoch == 4:
            raise Stopped
        return batches(epoch)

    whole, parts = noisy(), noisy()
    expected = fit(whole, squared, batches, settings, validate)
    with pytest.raises(Stopped):
        fit(parts, squared, until_the_fourth, settings, validate, folder=tmp_path)
    again = noisy()
    history = fit(again, squared, batches, settings, validate, folder=tmp_path)
    assert weights(again) == weights(whole)
    assert history.drop(columns="seconds").equals(expected.drop(columns="seconds"))
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]

    def never(epoch: int) -> object:
        raise AssertionError

    finished = noisy()
    assert fit(finished, squared, never, settings, validate, folder=tmp_path).equals(history)
    assert weights(finished) == weights(whole)


def test_a_folder_of_another_training_is_refused_and_left_alone(tmp_path: Path):
    batches = in_memory(*data())
    fit(linear(), squared, batches, Settings(epochs=1), folder=tmp_path)
    before = (tmp_path / "last.pt").read_bytes()
    with pytest.raises(
        InputError, match=r"made with other settings \(epochs 1 there and 2 here\); go on with the same"
    ):
        fit(linear(), squared, batches, Settings(epochs=2), folder=tmp_path)
    with pytest.raises(InputError, match=r"last.pt is the state of another model; name another folder"):
        fit(noisy(), squared, batches, Settings(epochs=1), folder=tmp_path)
    assert (tmp_path / "last.pt").read_bytes() == before
    (tmp_path / "last.pt").write_bytes(before[: len(before) // 2])
    with pytest.raises(InputError, match=r"last.pt is not the state of a training; remove it to start anew"):
        fit(linear(), squared, batches, Settings(epochs=1), folder=tmp_path)


class Evil:
    def __reduce__(self):
        return os.system, ("echo pwned > pwned",)


def test_a_pickle_in_place_of_a_state_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"settings": Evil(), "state": {}}, tmp_path / "last.pt")
    with pytest.raises(InputError, match="is not the state of a training"):
        fit(linear(), squared, in_memory(*data()), Settings(epochs=1), folder=tmp_path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"precision": "int8"}, "precision is one of float32, bfloat16, float16, not 'int8'"),
        ({"schedule": "linear"}, "schedule is one of constant, cosine, step, not 'linear'"),
        ({"epochs": 0}, "training takes epochs and a learning rate above 0, not 0 and 0.001"),
        ({"patience": 3}, 'patience needs something to watch; name a validation value, or "loss"'),
        ({"watch": "pearson"}, "'pearson' compares expression and not effects, so every model has nearly the same"),
        ({"watch": "pearson_top20_t_test"}, "'pearson_top20_t_test' compares expression and not effects"),
        ({"watch": "pds"}, "'pds' is watched, and whether a higher or a lower value is better is not known of it"),
        ({"watch": "hit rate", "direction": "up"}, "'hit rate' is watched, and whether a higher or a lower value"),
        ({"watch": "mae", "direction": "higher"}, "of 'mae' the lower value is the better, and direction is 'higher'"),
        ({"watch": "hit rate", "direction": "lower"}, "'hit rate' is watched, and there is no such value; there are"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict, said: str):
    with pytest.raises(InputError, match=said):
        fit(linear(), squared, in_memory(*data()), replace(Settings(epochs=1), **change))


def test_bad_batches_are_told():
    x, y = data()
    with pytest.raises(InputError, match="there are no batches in epoch 1; give at least one"):
        fit(linear(), squared, lambda epoch: [], Settings(epochs=1))
    with pytest.raises(InputError, match=r"one length in their first dimension; these have \[49, 50\]"):
        fit(linear(), squared, lambda epoch: [(x, y[1:])], Settings(epochs=1))
    with pytest.raises(
        InputError, match=r"in epoch 1 the loss is not finite \('?squared error'?\); look at the batches"
    ):
        fit(linear(), squared, lambda epoch: [(x * torch.nan, y)], Settings(epochs=1))


class Pair(NamedTuple):
    x: Tensor
    y: Tensor


@pytest.mark.parametrize("form", [list, lambda pair: Pair(*pair), lambda pair: {"x": pair[0], "y": pair[1]}])
def test_a_batch_has_any_form(form):
    def loss(model: nn.Module, batch: object, over: float) -> dict[str, Tensor]:
        x, y = batch.values() if isinstance(batch, dict) else batch
        assert type(batch) is type(form((x, y)))
        return squared(model, (x, y), over)

    pair = data()
    histories = [
        fit(linear(), by, lambda epoch, b=b: iter([b]), Settings(epochs=2))
        for by, b in ((squared, pair), (loss, form(pair)))
    ]
    assert list(histories[0]["loss"]) == list(histories[1]["loss"])


def test_every_epoch_has_all_examples_in_another_order():
    x = torch.arange(10).float()[:, None]
    batches = in_memory(x, batch_size=4, seed=5)
    assert len(batches(1)) == 3
    orders = [torch.cat([batch for (batch,) in batches(epoch)]).ravel().tolist() for epoch in (1, 2, 1)]
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(10))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_less_precise_products_learn_too_and_weights_stay_float32(precision: str):
    seen = set()

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor], over: float) -> dict[str, Tensor]:
        x, y = batch
        predicted = model(x)
        seen.add(predicted.dtype)
        return {"squared error": ((predicted.float() - y) ** 2).mean()}

    model = linear()
    settings = Settings(epochs=60, learning_rate=0.1, precision=precision)
    history = fit(model, loss, in_memory(*data(), batch_size=10), settings, device="cpu")
    assert seen == {getattr(torch, precision)}
    assert model.weight.dtype == torch.float32
    assert history["loss"].iloc[-1] < 0.01


SCRIPT = """
import json, os, sys
import torch
from torch import nn
from starter.training.loop import Settings, fit, in_memory, seeded

def loss(model, batch, over):
    x, y = batch
    return {"squared error": ((model(x) - y) ** 2).mean(), "size": 0.01 * model[0].weight.square().mean()}

with seeded(0):
    x = torch.randn(37, 5)  # batches of 8 and one of 5: not even for two
    model = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 1))
y = torch.sin(x.sum(1, keepdim=True))
validate = lambda model: {"mae": float((model(x) - y).abs().mean())}
history = fit(model, loss, in_memory(x, y, batch_size=8), Settings(epochs=5, learning_rate=0.01, watch="mae"), validate,
              device="cpu", folder=sys.argv[1])
if int(os.environ.get("RANK", 0)) == 0:
    weights = torch.cat([p.ravel() for p in model.parameters()]).tolist()
    print(json.dumps([history.drop(columns="seconds").to_numpy().tolist(), weights]))
"""


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path: Path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    came = []
    for name, launch in (("one", []), ("two", torchrun)):
        command = [sys.executable, *launch, str(script), str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        came.append(json.loads(done.stdout))
        assert (tmp_path / name / "last.pt").is_file()
    for one, two in zip(*came, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-7)
    assert came[0][0][0][0] > came[0][0][-1][0]


ORDERS = """
import json, os, sys
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from starter.errors import InputError
from starter.training.loop import Settings, fit

rank, examples, seen = int(os.environ["RANK"]), TensorDataset(torch.arange(12.0)[:, None]), []
torch.manual_seed(rank)  # as a script may have drawn more in one process than in another
np.random.seed(rank)

def lazily(epoch):
    for _ in range(3):
        yield (torch.randperm(12)[:4, None].float(),)

given = {
    "loader": lambda epoch: DataLoader(examples, batch_size=4, shuffle=True),
    "lazy": lazily,
    "numpy": lambda epoch: [(torch.from_numpy(np.random.permutation(12)[:4, None]).float(),)],
    "fewer": lambda epoch: DataLoader(examples, batch_size=4) if rank else DataLoader(examples, batch_size=6),
    "longer": lambda epoch: list(DataLoader(examples, batch_size=4))[: 3 - rank],
}

def loss(model, batch, over):
    seen.append(([int(value) for value in batch[0]], float(nn.functional.dropout(torch.ones(99), 0.5).sum())))
    return {"error": model(batch[0]).square().mean()}

for name, batches in given.items():
    seen.clear()
    try:
        fit(nn.Linear(1, 1), loss, batches, Settings(epochs=2), device="cpu")
        said = [each for each, _ in seen]
    except InputError as error:
        said = str(error)
    with open(f"{sys.argv[1]}/{name}_{rank}.json", "w") as file:
        json.dump({"said": said, "drawn": [drawn for _, drawn in seen]}, file)
"""


@pytest.mark.slow
def test_two_processes_learn_from_every_example_whatever_shuffles_them(tmp_path: Path):
    (tmp_path / "orders.py").write_text(ORDERS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [sys.executable, *torchrun, str(tmp_path / "orders.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    assert done.returncode == 0, done.stderr

    def came(name: str) -> list[dict]:
        return [json.loads((tmp_path / f"{name}_{rank}.json").read_text()) for rank in (0, 1)]

    one, two = came("loader")
    epochs = [
        sorted(number for rank in (one, two) for batch in rank["said"][part] for number in batch)
        for part in (slice(0, 3), slice(3, 6))
    ]
    assert epochs == [list(range(12))] * 2  # each example once in an epoch
    assert one["said"][:3] != one["said"][3:] != [[0, 1], [4, 5], [8, 9]]
    assert one["drawn"] != two["drawn"]  # dropout is each process's own
    one, two = came("lazy")
    assert all(len({*part, *rest}) == 4 for part, rest in zip(one["said"], two["said"], strict=True))
    for name in ("numpy", "fewer", "longer"):
        for part in came(name):
            assert "the 2 processes were given different batches; draw their order by a seed" in part["said"]


def test_the_history_is_drawn_with_its_terms_and_what_was_validated():
    def two(model: nn.Module, batch: tuple[Tensor, Tensor], over: float) -> dict[str, Tensor]:
        return {**squared(model, batch, over), "size": model.weight.square().sum()}

    history = fit(linear(), two, in_memory(*data()), Settings(epochs=3), lambda model: {"mae": 1.0})
    figure = plots.training_curves(history, "a line (simulated)")
    first, second = figure.axes
    assert [line.get_label() for line in first.lines] == ["loss", "squared error", "size"]
    assert list(first.lines[0].get_ydata()) == list(history["loss"])
    assert (first.get_xlabel(), second.get_ylabel()) == ("epoch", "mae")
    assert loop.CHECKPOINT == "last.pt"
