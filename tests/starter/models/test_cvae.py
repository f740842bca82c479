"""The conditional VAE: its parts against torch.distributions, what it learns, what it refuses."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

torch = pytest.importorskip("torch")

from starter.errors import InputError  # noqa: E402
from starter.models import cvae, tuning  # noqa: E402
from starter.models.conditioned_cells import Batch, Cells, Known  # noqa: E402
from starter.schema import CONTROL  # noqa: E402

N_GENES = 14
QUICK = {"epochs": 6, "n_latent": 3, "n_hidden": 16, "batch_size": 64, "learning_rate": 1e-2, "weight_decay": 1.0}
TARGETS = ["T18", "T19", "unheard of"]


def screen(n_cells: int = 40) -> tuple[pd.DataFrame, Known]:
    """Counts whose log fold changes follow two features; two of twenty targets are not measured."""
    rng = np.random.default_rng(4)
    names = [f"T{i:02d}" for i in range(20)]
    features = pd.DataFrame(rng.normal(size=(20, 2)), index=names)
    changes = features.to_numpy() @ rng.normal(0, 0.8, (2, N_GENES)) + 0.3
    measured = [CONTROL, *names[:18]]
    labels = np.repeat(measured, [3 * n_cells, *[n_cells] * 18])
    row = pd.Series(range(-1, 18), index=measured).loc[labels].to_numpy()
    n_umis = rng.lognormal(7, 0.3, len(labels))
    programme = rng.normal(size=(len(labels), 1)) * rng.normal(0, 0.6, N_GENES)  # what cells differ in by themselves
    rate = rng.gamma(2.0, 2.0, N_GENES) * np.exp(np.where(row[:, None] < 0, 0, changes[row]) + programme)
    counts = rng.negative_binomial(4, 4 / (4 + rate * n_umis[:, None] / 1000)).astype(np.float32)
    logs = np.log1p(counts * 1000 / n_umis[:, None])
    profiles = pd.DataFrame(logs, columns=[f"G{i}" for i in range(N_GENES)]).groupby(labels).mean()
    known = Known({"two": features}, scipy.sparse.csr_matrix(counts), n_umis, labels, 1000.0)
    return profiles.rename_axis("perturbation"), known


def first_batch(n: int = 10) -> tuple[cvae.ConditionalVAE, Batch]:
    profiles, known = screen()
    fitted = cvae.train(profiles, known, TARGETS, **QUICK | {"epochs": 1})
    rows = np.flatnonzero(np.isin(known.target_gene, [CONTROL, "T03"]))
    return fitted.model.train(), Cells(known, rows, fitted.conditions)[np.arange(len(rows))[-n:]]


def test_a_draw_is_that_of_torch_and_gradients_reach_both_parameters():
    mean, log_variance = torch.randn(4, 3, dtype=torch.double), torch.randn(4, 3, dtype=torch.double)
    noise = torch.randn(4, 3, dtype=torch.double)
    parameters = mean.requires_grad_(), log_variance.requires_grad_()
    z = cvae.draw(*parameters, noise)
    torch.testing.assert_close((z - mean) / log_variance.exp().sqrt(), noise)
    by_mean, by_log_variance = torch.autograd.grad(z.sum(), parameters)
    torch.testing.assert_close(by_mean, torch.ones_like(mean))
    torch.testing.assert_close(by_log_variance, 0.5 * (z - mean).detach())


def test_the_log_likelihood_and_its_gradients_are_those_of_torch():
    counts = torch.tensor([[0.0, 1.0, 7.0], [3.0, 80.0, 1100.0]], dtype=torch.double)
    mean = torch.tensor([[0.02, 0.7, 3.0], [1.4, 55.0, 900.0]], dtype=torch.double)
    theta = torch.tensor([0.3, 2.5, 40.0], dtype=torch.double)
    log_mean, log_theta = mean.log().requires_grad_(), theta.log().requires_grad_()
    own = cvae.nb_log_likelihood(counts, log_mean, log_theta)
    theirs = torch.distributions.NegativeBinomial(log_theta.exp(), logits=log_mean - log_theta).log_prob(counts)
    torch.testing.assert_close(own, theirs)
    gradients = [torch.autograd.grad(value.sum(), (log_mean, log_theta)) for value in (own, theirs)]
    torch.testing.assert_close(*gradients)


def test_the_divergence_and_its_gradients_are_those_of_torch():
    mean, log_variance = (torch.randn(5, 2, dtype=torch.double, requires_grad=True) for _ in range(2))
    normal = torch.distributions.Normal(mean, log_variance.exp().sqrt())
    due = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0))
    own = cvae.kl(mean, log_variance)
    torch.testing.assert_close(own, due)
    torch.testing.assert_close(*(torch.autograd.grad(value.sum(), (mean, log_variance)) for value in (own, due)))


def test_the_weight_rises_in_a_straight_line_and_stays():
    assert [cvae.warm_up(x, 0.4, 6.0) for x in (0.0, 0.1, 0.4, 0.9)] == pytest.approx([0.0, 1.5, 6.0, 6.0])
    assert cvae.warm_up(0.0, 0.0, 6.0) == 6.0


@pytest.mark.parametrize("term", ["reconstruction", "kl"])
def test_the_weight_of_every_term_changes_the_gradient(term: str):
    model, batch = first_batch()
    gradients = []
    for weight in (1.0, 3.0):
        model.zero_grad()
        torch.manual_seed(0)
        terms = cvae.loss_terms(model, batch, weight=2.0)
        sum(value * (weight if name == term else 1.0) for name, value in terms.items()).backward()
        gradients.append(model.log_variance.weight.grad.clone())
    assert (gradients[0] - gradients[1]).abs().max() > 1e-3 * gradients[0].abs().max()


def test_the_weight_of_the_kl_term_is_the_one_given():
    model, batch = first_batch()
    values = []
    for weight in (1.0, 3.0):
        torch.manual_seed(0)
        values.append(cvae.loss_terms(model, batch, weight))
    torch.testing.assert_close(values[1]["kl"], 3 * values[0]["kl"])
    torch.testing.assert_close(values[1]["reconstruction"], values[0]["reconstruction"])


def test_it_overfits_ten_cells():
    """It comes near the best that any rates can do: those that are the counts themselves."""
    model, batch = first_batch()
    best = cvae.nb_log_likelihood(batch.counts, batch.counts.clamp(min=1e-3).log(), model.log_theta).sum(dim=1).mean()
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(400):
        optimiser.zero_grad()
        loss = cvae.loss_terms(model, batch, weight=0.0)["reconstruction"]
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] + best < 0.1 * (losses[0] + best)


def test_it_learns_what_features_do_to_unseen_targets():
    profiles, known = screen()
    fold_of = tuning.folds(profiles.index, 3)
    scores = tuning.cross_validate(cvae.cvae, profiles, known, fold_of, **QUICK | {"epochs": 20})
    assert scores["pearson_delta_train_mean"].mean() > 0.6
    assert scores["discrimination_score_l1"].mean() > 0.7


def test_what_is_unknown_gets_the_train_mean_and_unseen_targets_do_not():
    profiles, known = screen()
    before = profiles.copy()
    predicted = cvae.cvae(profiles, known, TARGETS, **QUICK)
    mean = profiles.drop(index=CONTROL).mean()
    assert list(predicted.index) == TARGETS
    assert predicted.index.name == "perturbation"
    assert list(predicted.columns) == list(profiles.columns)
    np.testing.assert_allclose(predicted.loc["unheard of"], mean)
    assert (abs(predicted.loc[["T18", "T19"]] - mean).max(axis=1) > 0.01).all()
    assert (predicted.to_numpy() >= 0).all()
    pd.testing.assert_frame_equal(profiles, before)


def test_without_features_the_train_mean_is_left():
    profiles, known = screen()
    for tables in ({}, {"two": known.tables["two"].loc[["T18"]]}):
        predicted = cvae.cvae(profiles, known._replace(tables=tables), TARGETS)
        np.testing.assert_allclose(predicted, np.tile(profiles.drop(index=CONTROL).mean(), (3, 1)))
    assert cvae.cvae(profiles, known, []).shape == (0, N_GENES)


def test_the_same_seed_gives_the_same_prediction_and_leaves_torch_alone():
    profiles, known = screen()
    torch.manual_seed(77)
    state = torch.get_rng_state()
    one, same, other = (cvae.cvae(profiles, known, TARGETS, **QUICK, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    pd.testing.assert_frame_equal(one, same)
    assert abs(one - other).loc["T18"].max() > 1e-4


def test_cells_of_other_perturbations_are_not_read():
    profiles, known = screen()
    known_less = known.target_gene != "T05"
    fewer = known._replace(
        counts=known.counts[known_less], n_umis=known.n_umis[known_less], target_gene=known.target_gene[known_less]
    )
    given = profiles.drop(index="T05")
    pd.testing.assert_frame_equal(cvae.cvae(given, known, TARGETS, **QUICK), cvae.cvae(given, fewer, TARGETS, **QUICK))


def test_what_the_decoder_gets_wrong_under_both_conditions_cancels():
    profiles, known = screen()
    fitted = cvae.train(profiles, known, TARGETS, **QUICK)
    asked = fitted.controls.x, fitted.condition(CONTROL), fitted.condition("T18")
    before = cvae.log_fold_change(fitted.model, *asked)
    with torch.no_grad():
        fitted.model.log_rate += torch.linspace(-1, 2, N_GENES)
    torch.testing.assert_close(cvae.log_fold_change(fitted.model, *asked), before)
    assert float(cvae.log_fold_change(fitted.model, asked[0], asked[1], asked[1]).abs().max()) == 0


def test_generated_cells_are_counts_with_the_zeros_of_measured_ones():
    profiles, known = screen(n_cells=100)
    fitted = cvae.train(profiles, known, TARGETS, **QUICK | {"epochs": 15})
    counts, depth = cvae.generate(fitted, "T07", seed=1)
    assert counts.shape == (len(depth), N_GENES)
    assert (counts == counts.round()).all()
    measured = known.counts[known.target_gene == "T07"].toarray()
    np.testing.assert_allclose((counts == 0).mean(axis=0), (measured == 0).mean(axis=0), atol=0.2)
    again, other = (cvae.generate(fitted, "T07", seed=seed)[0] for seed in (1, 2))
    assert (counts == again).all()
    assert (counts != other).any()


def test_a_large_weight_makes_the_posterior_collapse():
    profiles, known = screen()
    told = {}
    for weight in (0.1, 1000.0):
        fitted = cvae.train(profiles, known, TARGETS, **QUICK | {"epochs": 12}, weight=weight)
        with torch.no_grad():
            told[weight] = float(cvae.kl(*fitted.model.encode(fitted.controls.x, fitted.controls.condition)).mean())
    assert told[1000.0] < 0.01 < 0.05 < told[0.1]


def test_what_does_not_fit_together_is_refused():
    profiles, known = screen()
    with pytest.raises(InputError, match="840 cells have 839 library sizes and 840 labels"):
        cvae.train(profiles, known._replace(n_umis=known.n_umis[1:]), TARGETS)
    with pytest.raises(InputError, match="the cells have 14 genes and the profiles 13"):
        cvae.train(profiles.iloc[:, 1:], known, TARGETS)
    renamed = profiles.rename(index={"T02": "elsewhere"})
    with pytest.raises(InputError, match="there are no cells of elsewhere, whose profiles are given"):
        cvae.train(renamed, known, TARGETS)
    with pytest.raises(InputError, match="no row 'non-targeting'"):
        cvae.cvae(profiles.drop(index=CONTROL), known, TARGETS)


def test_a_last_batch_of_one_cell_is_a_batch():
    profiles, known = screen()
    conditions = cvae.train(profiles, known, TARGETS, **QUICK | {"epochs": 1}).conditions
    cells = Cells(known, np.flatnonzero(known.target_gene == CONTROL)[:9], conditions)
    *_, last = cells.batches(8, seed=0)(1)
    assert [len(part) for part in last] == [1, 1, 1, 1]
    assert last.condition.shape == (1, conditions.shape[1])
