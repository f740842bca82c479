"""The simple models, against calculations by hand, numpy and scipy."""

import numpy as np
import pandas as pd
import pytest
import scipy.spatial

from starter.errors import InputError
from starter.models import baselines
from starter.schema import CONTROL

SMALL = pd.DataFrame(
    [[1.0, 2.0], [3.0, 6.0], [5.0, 1.0], [2.0, 2.0]], index=["A", "B", "C", CONTROL], columns=["G", "H"]
)


def screen(n: int = 15, n_genes: int = 9, n_features: int = 4) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Profiles that follow features, but for noise; three targets to predict, the last without features."""
    rng = np.random.default_rng(3)
    names = [f"T{i:02d}" for i in range(n + 2)]
    features = pd.DataFrame(rng.normal(0.5, 1.0, (n + 2, n_features)), index=names)
    unit = features.to_numpy() / np.linalg.norm(features, axis=1, keepdims=True)
    values = 5 + unit @ rng.normal(size=(n_features, n_genes)) + 0.1 * rng.normal(size=(n + 2, n_genes))
    profiles = pd.DataFrame(values[:n], index=names[:n], columns=[f"G{i}" for i in range(n_genes)])
    profiles.loc[CONTROL] = 5.0
    return profiles, features, [*names[n:], "unheard of"]


def unit(features: pd.DataFrame) -> np.ndarray:
    return features.to_numpy() / np.linalg.norm(features, axis=1, keepdims=True)


def known_for(name: str, features: pd.DataFrame, profiles: pd.DataFrame) -> object:
    if name == "perturbed mean":
        return pd.Series(7, profiles.index)
    if name == "neighbour mean":
        return pd.DataFrame({"gene_a": ["T00", "T15"], "gene_b": ["T15", "T03"]})
    return features if name in ("bilinear", "ridge", "elastic net", "kNN", "random forest") else None


@pytest.mark.parametrize("name", list(baselines.MODELS))
def test_all_have_one_form_and_give_what_is_unknown_the_train_mean(name: str):
    profiles, features, targets = screen()
    before = profiles.copy()
    predicted = baselines.MODELS[name](profiles, known_for(name, features, profiles), targets)
    assert list(predicted.index) == targets
    assert predicted.index.name == "perturbation"
    assert list(predicted.columns) == list(profiles.columns)
    pd.testing.assert_frame_equal(profiles, before)
    due = profiles.loc[CONTROL] if name == "control mean" else profiles.drop(index=CONTROL).mean()
    np.testing.assert_allclose(predicted.loc["unheard of"], due)


@pytest.mark.parametrize("name", list(baselines.MODELS))
def test_nothing_to_predict_is_an_empty_table(name: str):
    profiles, features, _ = screen()
    predicted = baselines.MODELS[name](profiles, known_for(name, features, profiles), [])
    assert predicted.shape == (0, profiles.shape[1])


@pytest.mark.parametrize("name", ["bilinear", "ridge", "elastic net", "kNN", "random forest"])
def test_without_a_measured_target_that_is_known_the_train_mean_is_left(name: str):
    profiles, features, targets = screen()
    predicted = baselines.MODELS[name](profiles, features.loc[targets[:2]], targets)
    np.testing.assert_allclose(predicted, np.tile(profiles.drop(index=CONTROL).mean(), (3, 1)))


@pytest.mark.parametrize("name", [name for name in baselines.MODELS if name != "neighbour mean"])
def test_profiles_without_control_or_perturbation_are_refused(name: str):
    profiles, features, targets = screen()
    known = known_for(name, features, profiles)
    with pytest.raises(InputError, match="the training profiles have no row 'non-targeting'"):
        baselines.MODELS[name](profiles.drop(index=CONTROL), known, targets)
    with pytest.raises(InputError, match="there is no training perturbation to learn from"):
        baselines.MODELS[name](profiles.loc[[CONTROL]], known, targets)


def test_constant_answers_by_hand():
    assert baselines.control_mean(SMALL, None, ["X"]).loc["X"].tolist() == [2.0, 2.0]
    assert baselines.train_mean(SMALL, None, ["X", "Y"]).to_numpy().tolist() == [[3.0, 3.0]] * 2
    n_cells = pd.Series({"A": 10, "B": 30, "C": 60, CONTROL: 500})
    assert baselines.perturbed_mean(SMALL, n_cells, ["X"]).loc["X"].tolist() == pytest.approx([4.0, 2.6])


def test_the_perturbed_mean_needs_every_number_of_cells():
    with pytest.raises(InputError, match="the number of cells of B, C is not given"):
        baselines.perturbed_mean(SMALL, pd.Series({"A": 10}), ["X"])


def test_the_additive_model_by_hand():
    predicted = baselines.additive(SMALL, None, ["A+B", "B", "A+X", "X"])
    assert predicted.loc["A+B"].tolist() == [2.0, 6.0]  # control (2, 2), effects (-1, 0) and (1, 4)
    assert predicted.loc["B"].tolist() == [3.0, 6.0]
    assert predicted.loc["A+X"].tolist() == [2.0, 3.0]  # an unknown gene adds the mean effect, (1, 1)
    assert predicted.loc["X"].tolist() == [3.0, 3.0]


def test_predictions_are_never_below_0():
    profiles = SMALL - [0.0, 2.0]
    profiles.loc[CONTROL] = [2.0, 3.0]
    assert baselines.additive(profiles, None, ["A+C"]).loc["A+C"].tolist() == [4.0, 0.0]
    features = pd.DataFrame([[1.0, 0.1], [0.1, 1.0], [0.4, 0.5], [1.0, -2.0]], index=["A", "B", "C", "X"])
    for name in ("ridge", "bilinear"):
        assert (baselines.MODELS[name](profiles, features, ["X"]).to_numpy() >= 0).all()


@pytest.mark.parametrize("penalty", [0.1, 3.0])
def test_ridge_is_the_closed_form(penalty: float):
    profiles, features, targets = screen()
    x, y = unit(features.iloc[:15]), profiles.iloc[:15].to_numpy()
    centred, mean = x - x.mean(axis=0), y.mean(axis=0)
    # ridge as ordinary least squares with rows of sqrt(penalty) added
    more = np.vstack([centred, np.sqrt(penalty) * np.eye(4)])
    weights = np.linalg.lstsq(more, np.vstack([y - mean, np.zeros((4, 9))]), rcond=None)[0]
    due = mean + (unit(features.loc[targets[:2]]) - x.mean(axis=0)) @ weights
    np.testing.assert_allclose(baselines.ridge(profiles, features, targets, penalty).iloc[:2], due)


def test_knn_is_the_mean_of_the_smallest_angles():
    profiles, features, targets = screen()
    distance = scipy.spatial.distance.cdist(features.loc[targets[:2]], features.iloc[:15], "cosine")
    due = [profiles.iloc[np.argsort(row)[:3]].mean() for row in distance]
    np.testing.assert_allclose(baselines.knn(profiles, features, targets, k=3).iloc[:2], due)
    everyone = baselines.knn(profiles, features, targets, k=99)
    np.testing.assert_allclose(everyone.iloc[0], profiles.iloc[:15].mean())


def test_the_elastic_net_minimises_its_loss():
    """By its definition: no small change of a prediction's weights does better, seen on one gene."""
    profiles, features, _ = screen()
    gene = profiles[["G1"]]
    wanted = pd.DataFrame(np.eye(4), index=[f"E{i}" for i in range(4)])  # rows of length 1: they read off the weights
    known = pd.concat([features, wanted])
    for penalty in (0.001, 0.02):
        rows = baselines.elastic_net(gene, known, list(wanted.index), penalty).to_numpy().ravel()
        x, y = unit(features.iloc[:15]), gene.iloc[:15].to_numpy().ravel()
        weights, offset = solve_affine(rows, x.mean(axis=0), y.mean())

        def loss(w: np.ndarray, x: np.ndarray = x, y: np.ndarray = y, penalty: float = penalty) -> float:
            rest = y - y.mean() - (x - x.mean(axis=0)) @ w
            return (rest**2).sum() / 2 / len(y) + penalty * (0.5 * abs(w).sum() + 0.25 * (w**2).sum())

        assert offset == pytest.approx(y.mean() - x.mean(axis=0) @ weights)
        for step in np.vstack([np.eye(4), -np.eye(4)]) * 1e-3:
            assert loss(weights + step) >= loss(weights) - 1e-9
    np.testing.assert_allclose(
        baselines.elastic_net(profiles, features, ["T15"], 1e3).loc["T15"], profiles.iloc[:15].mean()
    )


def solve_affine(rows: np.ndarray, mean_x: np.ndarray, mean_y: float) -> tuple[np.ndarray, float]:
    """Weights w and offset b with rows_i = b + w_i and mean_y = b + mean_x w."""
    offset = (mean_y - mean_x @ rows) / (1 - mean_x.sum())
    return rows - offset, offset


def test_the_forest_learns_what_a_tree_can():
    """Two groups of targets, told apart by the sign of a feature."""
    rng = np.random.default_rng(0)
    side = np.repeat([1.0, -1.0], 12)
    names = [f"T{i}" for i in range(24)]
    features = pd.DataFrame(np.column_stack([side, rng.normal(0, 0.1, 24)]), index=names)
    effect = rng.normal(size=7)
    profiles = pd.DataFrame(9 + side[:, None] * effect, index=names)
    profiles.loc[CONTROL] = 9.0
    known = pd.concat([features, pd.DataFrame([[3.0, 0.0], [-0.5, 0.0]], index=["X", "Y"])])
    predicted = baselines.random_forest(profiles, known, ["X", "Y"])
    np.testing.assert_allclose(predicted, np.vstack([9 + effect, 9 - effect]), atol=0.2)
    pd.testing.assert_frame_equal(predicted, baselines.random_forest(profiles, known, ["X", "Y"]))


@pytest.mark.parametrize("own_rows", [True, False])
def test_the_bilinear_model_is_the_published_formula(own_rows: bool):
    """W as one linear system by Kronecker products; G by a singular value decomposition."""
    profiles, features, targets = screen(n_genes=30)
    if own_rows:
        profiles.columns = [*[f"T{i:02d}" for i in range(13)], "T16", *[f"G{i}" for i in range(16)]]
        targets = ["T15", "T16"]
    y = profiles.drop(index=CONTROL)
    by_gene = y.to_numpy().T
    u, s, _ = np.linalg.svd(by_gene - by_gene.mean(axis=0), full_matrices=False)
    g = u[:, :10] * s[:10]
    rows = pd.DataFrame(g, index=profiles.columns) if own_rows else features
    known = [name for name in y.index if name in rows.index]
    assert len(known) == (13 if own_rows else 15)
    p, b = rows.loc[known].to_numpy(), y.mean().to_numpy()
    system = np.kron(p.T @ p + 0.1 * np.eye(p.shape[1]), g.T @ g + 0.1 * np.eye(10))
    w = np.linalg.solve(system, (p.T @ (y.loc[known] - b).to_numpy() @ g).ravel()).reshape(p.shape[1], 10)
    predicted = baselines.bilinear(profiles, None if own_rows else features, targets)
    target = "T16"
    np.testing.assert_allclose(predicted.loc[target], np.maximum(b + rows.loc[target].to_numpy() @ w @ g.T, 0))
    np.testing.assert_allclose(predicted.drop(index=["T15", "T16"]), np.tile(b, (len(targets) - 2, 1)))
    if own_rows:
        np.testing.assert_allclose(predicted.loc["T15"], b)  # not among the genes
