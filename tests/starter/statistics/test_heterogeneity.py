"""How alike effects are, against scipy, geometry and published numbers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.spatial
import scipy.stats

from starter.errors import InputError
from starter.statistics import heterogeneity


def effects() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    values = rng.normal(size=23) + rng.gamma(1.0, size=(6, 23))
    return pd.DataFrame(values, index=list("ABCDEF"))


def test_correlations_are_pearsons_each_pair_once():
    table = effects()
    due = [scipy.stats.pearsonr(table.iloc[i], table.iloc[j])[0] for i in range(6) for j in range(i + 1, 6)]
    np.testing.assert_allclose(heterogeneity.effect_correlations(table), due)


def test_the_most_alike_come_with_the_smallest_set_that_holds_both():
    # over three genes: A and B point the same way, C is their opposite, D is at right angles to all (centred)
    table = pd.DataFrame([[1, 0, -1], [3, 0, -3], [-1, 0, 1], [1, -2, 1]], list("ABCD"), list("xyz"), dtype=float)
    sets = {"all": list("ABCD"), "small": list("AB"), "as small": list("BA"), "other": list("CD")}
    found = heterogeneity.most_alike(table, sets, 2)
    assert found.columns.tolist() == ["first", "second", "correlation", "shared"]
    assert found.iloc[0].tolist()[:2] == ["A", "B"]
    assert found["correlation"].tolist() == pytest.approx([1, 0])
    assert found["shared"].tolist() == ["as small", "all"]
    assert heterogeneity.most_alike(table, {}, 1)["shared"].tolist() == [""]


def test_effects_that_cannot_be_compared_are_refused():
    with pytest.raises(InputError, match="needs two at least; there are 1"):
        heterogeneity.effect_correlations(effects().iloc[:1])
    table = effects()
    table.loc["C"] = 0.25
    with pytest.raises(InputError, match="no correlation; leave out C"):
        heterogeneity.effect_correlations(table)


def distances(points: np.ndarray) -> pd.DataFrame:
    """E-distances without noise: twice the squared distance of means."""
    names = ["ctrl", *[f"P{i}" for i in range(1, len(points))]]
    values = 2 * scipy.spatial.distance.cdist(points, points, "sqeuclidean")
    return pd.DataFrame(values, index=names, columns=names)


def test_angles_come_out_of_distances():
    points = np.random.default_rng(4).normal(size=(5, 3))
    cosines, left_out = heterogeneity.effect_cosines(distances(points), "ctrl")
    shifts = points[1:] - points[0]
    np.testing.assert_allclose(cosines, 1 - scipy.spatial.distance.pdist(shifts, "cosine"))
    assert left_out == []


def test_cells_give_the_angle_of_their_means_less_noise():
    """E-distances of cells by their definition; what each mean's own noise adds to dot products is taken off."""
    rng = np.random.default_rng(0)
    cells = {name: rng.normal(mean, 1.0, (40, 3)) for name, mean in {"control": 0, "P": 1.0, "Q": (0, 2, 1)}.items()}

    def mean_distance(a: str, b: str) -> float:
        between = scipy.spatial.distance.cdist(cells[a], cells[b], "sqeuclidean")
        return between.sum() / (40 * 39 if a == b else 40 * 40)

    table = pd.DataFrame(
        {a: {b: 2 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b) for b in cells} for a in cells}
    )
    noise = {name: group.var(axis=0, ddof=1).sum() / 40 for name, group in cells.items()}
    p, q = (cells[name].mean(axis=0) - cells["control"].mean(axis=0) for name in "PQ")
    lengths = [np.sqrt(shift @ shift - noise[name] - noise["control"]) for name, shift in (("P", p), ("Q", q))]
    cosines, _ = heterogeneity.effect_cosines(table)
    assert cosines == pytest.approx([(p @ q - noise["control"]) / np.prod(lengths)])


def test_effects_hidden_by_noise_are_left_out_and_named():
    table = distances(np.random.default_rng(4).normal(size=(5, 3)))
    table.loc["P2", "ctrl"] = table.loc["ctrl", "P2"] = -0.1
    cosines, left_out = heterogeneity.effect_cosines(table, "ctrl")
    assert left_out == ["P2"]
    assert len(cosines) == 3


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda t: t.iloc[:, ::-1], "the same conditions as rows and as columns"),
        (lambda t: t.rename(index={"ctrl": "x"}, columns={"ctrl": "x"}), "have no condition 'ctrl'"),
        (lambda t: t + np.arange(3), "finite and the same in both directions"),
        (lambda t: t * np.nan, "finite and the same in both directions"),
        (lambda t: -t, "only 0 perturbations are farther than 0"),
    ],
)
def test_what_are_no_distances_is_refused(spoil: object, said: str):
    table = distances(np.random.default_rng(4).normal(size=(3, 2)))
    with pytest.raises(InputError, match=said):
        heterogeneity.effect_cosines(spoil(table), "ctrl")


def test_published_gains():
    """Csendes et al. (2025): the best model of each screen less the train mean."""
    gains = {screen.name: round(screen.gain, 3) for screen in heterogeneity.PUBLISHED}
    assert gains == {"Adamson": 0.028, "Norman": 0.106, "Replogle K562": 0.107, "Replogle RPE1": 0.023}


@pytest.mark.parametrize("screen", heterogeneity.PUBLISHED, ids=lambda screen: screen.name)
def test_the_estimates_follow_from_published_distances(screen: heterogeneity.PublishedScreen, vcc_data: Path):
    path = vcc_data / "edist_matrices" / f"{heterogeneity.E_DISTANCES[screen.name]}_edist.csv.gz"
    cosines, left_out = heterogeneity.effect_cosines(pd.read_csv(path, index_col=0))
    assert np.median(cosines) == pytest.approx(screen.estimate, abs=5e-4)
    assert len(left_out) < 0.1 * np.sqrt(2 * len(cosines))
    # were these not squared distances, half of the angles would be impossible
    assert (np.abs(cosines) > 1).mean() < 0.06
