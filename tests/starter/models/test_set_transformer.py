"""The energy distance against scipy; the model of sets against what it must be able to do."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import scipy.spatial.distance
import scipy.stats

from starter.data import dataset, preprocess, pseudobulk
from starter.errors import InputError
from starter.schema import CONTROL, TARGET_GENE

torch = pytest.importorskip("torch")
sets = pytest.importorskip("starter.models.set_transformer")
set_task = pytest.importorskip("starter.models.set_task")
training = pytest.importorskip("starter.training.loop")


@pytest.fixture(scope="module")
def given(small_path: Path):
    """Profiles of a screen, what is known, and two perturbations to predict."""
    small_screen = dataset.read_screen(small_path)
    profiles = pseudobulk.profiles(small_screen).droplevel("context")
    names = dataset.perturbations(small_screen)
    features = pd.DataFrame(np.random.default_rng(1).normal(size=(len(names), 6)), index=names)
    return profiles, set_task.KnownCells(features, preprocess.expression(small_screen), small_screen.obs), names[:2]


@pytest.fixture(scope="module")
def task(given):
    profiles, known, new = given
    return set_task.prepare(profiles.drop(index=new), known, new, n=5)


def draw(seed: int, *shapes: tuple[int, ...]) -> list[torch.Tensor]:
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.normal(number, 1.0 + number, shape)) for number, shape in enumerate(shapes)]


def test_in_one_dimension_it_is_the_square_of_that_of_scipy():
    x, y = draw(2, (3, 9, 1), (3, 5, 1))
    due = [scipy.stats.energy_distance(a.ravel(), b.ravel()) ** 2 for a, b in zip(x.numpy(), y.numpy(), strict=True)]
    np.testing.assert_allclose(sets.energy_distance(x, y), due, rtol=1e-9)


def test_in_more_dimensions_it_is_that_of_scores():
    x, y = (tensor.numpy() for tensor in draw(3, (40, 4), (30, 4)))
    means = [scipy.spatial.distance.cdist(*pair).mean() for pair in ((x, y), (x, x), (y, y))]
    came = sets.energy_distance(torch.from_numpy(x), torch.from_numpy(y))
    assert float(came) == pytest.approx(2 * means[0] - means[1] - means[2], rel=1e-9)
    assert float(sets.energy_distance(torch.from_numpy(x), torch.from_numpy(x))) == 0


def test_its_gradient_is_that_of_differences_and_pulls_the_sets_together():
    x, y = draw(4, (6, 3), (8, 3))
    assert torch.autograd.gradcheck(sets.energy_distance, (x.requires_grad_(), y.requires_grad_()))
    (gradient,) = torch.autograd.grad(sets.energy_distance(x, y), x)
    assert torch.isfinite(gradient).all()
    with torch.no_grad():
        assert sets.energy_distance(x - 0.1 * gradient, y) < sets.energy_distance(x, y)


def test_it_sees_shape_where_means_are_the_same():
    x, y = (torch.randn(200, 2, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    x, y = x - x.mean(dim=0), y - y.mean(dim=0)
    assert sets.energy_distance(x, 3 * y) > 10 * sets.energy_distance(x, y)


def test_components_hold_the_effects_and_cells_of_unseen_perturbations_are_left_out(given, task):
    profiles, known, new = given
    effects = (profiles - profiles.loc[CONTROL]).drop(index=[CONTROL, *new]).to_numpy()
    components = task.components.numpy()
    np.testing.assert_allclose(components.T @ components, np.eye(components.shape[1]), atol=1e-5)
    kept = scipy.linalg.svdvals(effects)[: components.shape[1]]
    assert np.linalg.norm(effects @ components) == pytest.approx(np.sqrt((kept**2).sum()), rel=1e-5)
    assert not set(task.obs[TARGET_GENE].astype(str)) & set(new)
    assert task.expression.shape[0] == len(task.obs) < len(known.obs)
    control = torch.from_numpy(profiles.loc[CONTROL].to_numpy(np.float32))
    np.testing.assert_allclose(task.reduce(control), 0, atol=1e-5)


def one_batch(task, size: int = 8):
    plan = set_task.plan_sets(task.obs, task.training, size, np.random.default_rng(0))
    return next(iter(set_task.DataLoader(set_task.CellSets(task.expression, plan), batch_size=4)))


def gradient_of(task, weight: float, term: str | None = None) -> torch.Tensor:
    with training.seeded(0):
        model = sets.SetTransformer(task.components.shape[1], task.targets.shape[1], size=8, heads=2)
    terms = set_task.set_loss(model.eval(), task, one_batch(task), sets.energy_distance, weight)
    (terms[term] if term else sum(terms.values())).backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def test_every_term_of_the_loss_changes_the_gradient(task):
    energy, mean = (gradient_of(task, 1.0, term) for term in ("energy", "mean"))
    assert energy.abs().max() > 0
    assert mean.abs().max() > 0
    torch.testing.assert_close(gradient_of(task, 0.0), energy)
    torch.testing.assert_close(gradient_of(task, 3.0), energy + 3 * mean, rtol=1e-4, atol=1e-6)


def test_the_order_of_cells_does_not_matter(task):
    with training.seeded(0):
        model = sets.SetTransformer(task.components.shape[1], task.targets.shape[1], size=8, heads=2).eval()
    control = set_task.control_sets(task)[:2]
    order = torch.randperm(control.shape[1], generator=torch.Generator().manual_seed(3))
    plain, shuffled = (model(cells, task.targets[:2]) for cells in (control, control[:, order]))
    torch.testing.assert_close(shuffled, plain[:, order], rtol=1e-4, atol=1e-5)


def test_it_fits_ten_cells(task):
    """Ten control cells become ten given cells, in place and in shape."""
    control = set_task.control_sets(task)[:1, :10]
    measured = 0.5 * control.roll(1, dims=2) + 1.0
    with training.seeded(0):
        model = sets.SetTransformer(task.components.shape[1], task.targets.shape[1], 32, 2, dropout=0.0)

    def loss(model: torch.nn.Module, batch: tuple[torch.Tensor, ...], over: float) -> dict[str, torch.Tensor]:
        predicted = model(batch[0], task.targets[: len(batch[0])])
        return {"energy": sets.energy_distance(predicted, measured).mean()}

    settings = training.Settings(epochs=250, learning_rate=3e-3)
    history = training.fit(model, loss, training.in_memory(control), settings, device="cpu")
    assert history["loss"].iloc[-5:].mean() < 0.05 * history["loss"].iloc[0]


def test_the_form_is_that_of_all_models_and_what_is_unknown_gets_the_train_mean(given):
    profiles, known, new = given
    learned, state = profiles.drop(index=new), torch.random.get_rng_state()
    predicted = sets.set_transformer(learned, known, [*new, "unheard of"], epochs=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert list(predicted.index) == [*new, "unheard of"]
    assert list(predicted.columns) == list(profiles.columns)
    assert (predicted.to_numpy() >= 0).all()
    mean = learned.drop(index=CONTROL).mean()
    np.testing.assert_allclose(predicted.loc["unheard of"], mean)
    assert not np.allclose(predicted.loc[new[0]], mean, atol=1e-3)
    assert sets.set_transformer(learned, known, [], epochs=1).shape == (0, profiles.shape[1])


def test_the_same_seed_predicts_the_same_and_another_seed_does_not(given):
    profiles, known, new = given
    first, again, other = (
        sets.set_transformer(profiles.drop(index=new), known, new, epochs=1, seed=seed) for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first, again)
    assert np.abs(first - other).max().max() > 1e-4


def test_what_unseen_cells_are_like_changes_nothing(given):
    profiles, known, new = given
    label = known.obs[TARGET_GENE].astype(str).to_numpy()
    other = known.expression.copy()
    other.data[np.repeat(np.isin(label, new), np.diff(other.indptr))] *= 5
    both = [
        sets.set_transformer(profiles.drop(index=new), known._replace(expression=x), new, epochs=1)
        for x in (known.expression, other)
    ]
    pd.testing.assert_frame_equal(*both)


def test_profiles_without_control_are_refused(given):
    profiles, known, new = given
    with pytest.raises(InputError, match="the training profiles have no row 'non-targeting'"):
        sets.set_transformer(profiles.drop(index=[CONTROL, *new]), known, new)
