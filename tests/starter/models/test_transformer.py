"""The model of genes, against what it must be able to do."""

import numpy as np
import pandas as pd
import pytest
import scipy.linalg

from starter.errors import InputError
from starter.schema import CONTROL

torch = pytest.importorskip("torch")
transformer = pytest.importorskip("starter.models.transformer")
gene_task = pytest.importorskip("starter.models.gene_task")
training = pytest.importorskip("starter.training.loop")


def screen(n: int = 14, n_genes: int = 30, n_new: int = 3, n_features: int = 5):
    """Profiles whose effects follow the targets' features, each target's own gene nearly off; what is known."""
    rng = np.random.default_rng(4)
    names = [f"T{i:02d}" for i in range(n + n_new)]
    genes = [*names, *[f"G{i}" for i in range(n_genes - len(names))]]
    features = pd.DataFrame(rng.normal(size=(len(names), n_features)), index=names)
    effects = 0.5 * features.to_numpy() @ rng.normal(size=(n_features, n_genes)) + rng.normal(0.2, 0.1, n_genes)
    profiles = pd.DataFrame(np.maximum(5 + effects, 0), index=names, columns=genes)
    for name in names:
        profiles.loc[name, name] = 0.5
    profiles.loc[CONTROL] = 5.0
    of_genes = pd.DataFrame(rng.gamma(2.0, 3.0, (n_genes, 2)), index=genes)
    return profiles, gene_task.Known(features, of_genes), names[n:]


@pytest.fixture(scope="module")
def learned():
    """A model that learned from a screen, its task, and the profiles with the unseen ones."""
    profiles, known, new = screen()
    task = gene_task.prepare(profiles.drop(index=new), known, new, transformer.gene_tokens)
    with training.seeded(0):
        model = transformer.GeneTransformer(task.genes.shape[1], task.targets.shape[1], size=16, heads=2)
    gene_task.train(model, task, training.Settings(epochs=200, learning_rate=5e-3))
    return model, task, profiles


def test_tokens_are_the_singular_vectors_of_effects_beside_standard_features():
    rng = np.random.default_rng(6)
    effects, more = rng.normal(0.5, 1.0, (9, 20)), rng.gamma(2.0, 5.0, (20, 3))
    tokens = transformer.gene_tokens(effects, more, 4)
    _, strength, loadings = scipy.linalg.svd(effects - effects.mean(axis=0))
    due = (strength[:4, None] * loadings[:4]).T
    due *= np.sign((due * tokens[:, :4]).sum(axis=0))
    np.testing.assert_allclose(tokens[:, :4], due / np.sqrt((due**2).mean()))
    np.testing.assert_allclose(tokens[:, 4:].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(tokens[:, 4:].std(axis=0), 1)


def test_shuffled_genes_give_the_same_answer_shuffled(learned):
    model, task, _ = learned
    order = torch.randperm(len(task.genes), generator=torch.Generator().manual_seed(8))
    own = task.is_target[: len(task.targets)]
    with torch.no_grad():
        plain = model(task.genes, task.targets, own)
        shuffled = model(task.genes[order], task.targets, own[:, order])
    torch.testing.assert_close(shuffled, plain[:, order], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(shuffled, plain, atol=0.1)


def test_it_fits_ten_targets_that_it_has_seen():
    profiles, known, _ = screen(n=10, n_new=0)
    task = gene_task.prepare(profiles, known, [], transformer.gene_tokens)
    with training.seeded(0):
        model = transformer.GeneTransformer(task.genes.shape[1], task.targets.shape[1], 32, 2, dropout=0.0)
    history = gene_task.train(model, task, training.Settings(epochs=250, learning_rate=3e-3))
    assert history["loss"].iloc[0] > 0.5
    assert history["loss"].iloc[-5:].mean() < 0.05


def test_a_target_that_nobody_perturbed_is_predicted_better_than_by_the_train_mean(learned):
    model, task, profiles = learned
    predicted = gene_task.predict(model, task)
    error, of_mean = (abs(table - profiles.loc[task.names]).mean().mean() for table in (predicted, task.train_mean))
    assert error < 0.8 * of_mean
    for name in task.names:  # its own gene is nearly off, as was that of every other target
        assert predicted.loc[name, name] < task.train_mean.loc[name, name] - 1


def test_every_token_weight_and_the_flag_change_the_loss():
    profiles, known, _ = screen(n=8, n_new=0)
    task = gene_task.prepare(profiles, known, [], transformer.gene_tokens)
    with training.seeded(0):
        model = transformer.GeneTransformer(task.genes.shape[1], task.targets.shape[1], size=8, heads=2)
    batch = (task.targets, task.effects, task.is_target)
    gene_task.effect_loss(model, task, batch, n_genes=len(task.genes))["error"].backward()
    without = [name for name, weight in model.named_parameters() if not weight.grad.abs().sum() > 0]
    assert without == []


def test_the_loss_is_the_mean_squared_error_of_the_genes_that_are_shown():
    profiles, known, _ = screen(n=8, n_new=0)
    task = gene_task.prepare(profiles, known, [], transformer.gene_tokens)
    batch = (task.targets, task.effects, task.is_target)

    def nothing(genes: torch.Tensor, target: torch.Tensor, is_target: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(is_target)

    whole = gene_task.effect_loss(nothing, task, batch, n_genes=99)["error"]
    assert float(whole) == pytest.approx(1.0, rel=1e-5)  # effects are divided by their standard deviation
    torch.manual_seed(3)
    few = gene_task.effect_loss(nothing, task, batch, n_genes=4)["error"]
    torch.manual_seed(3)
    shown = torch.randperm(len(task.genes))[:4]
    assert float(few) == pytest.approx(float(task.effects[:, shown].square().mean()))


def test_the_form_is_that_of_all_models_and_what_is_unknown_gets_the_train_mean():
    profiles, known, new = screen()
    before, state = profiles.copy(), torch.random.get_rng_state()
    given = profiles.drop(index=new)
    predicted = transformer.gene_transformer(given, known, [*new, "unheard of"], epochs=1)
    pd.testing.assert_frame_equal(profiles, before)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert list(predicted.index) == [*new, "unheard of"]
    assert predicted.index.name == "perturbation"
    assert list(predicted.columns) == list(profiles.columns)
    assert (predicted.to_numpy() >= 0).all()
    mean = given.drop(index=CONTROL).mean()
    np.testing.assert_allclose(predicted.loc["unheard of"], mean)
    assert not np.allclose(predicted.loc[new[0]], mean)
    assert transformer.gene_transformer(given, known, [], epochs=1).shape == (0, profiles.shape[1])
    nothing = gene_task.Known(known.targets.loc[new])  # features of no training target
    np.testing.assert_allclose(transformer.gene_transformer(given, nothing, new), np.tile(mean, (len(new), 1)))


def test_the_same_seed_predicts_the_same_and_another_seed_does_not():
    profiles, known, new = screen()
    given = profiles.drop(index=new)
    first, again, other = (
        transformer.gene_transformer(given, known, new, epochs=2, seed=seed, models=2) for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first, again)
    assert np.abs(first - other).max().max() > 1e-4


def test_profiles_without_control_are_refused():
    profiles, known, new = screen()
    with pytest.raises(InputError, match="the training profiles have no row 'non-targeting'"):
        transformer.gene_transformer(profiles.drop(index=[CONTROL, *new]), known, new)
