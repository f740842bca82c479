"""What the rules of 2026 need of a screen: against the reference tool's stored answers, and by brute force."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter.data.blocks import in_memory
from starter.data.scan import scan_cells
from starter.errors import InputError
from starter.schema import CONTROL
from starter.scoring.screens.from_counts import summarise_counts
from starter.scoring.screens.summary import Summary

CASES = ("main", "all_equal", "control_exact", "ties_equal_totals")


def load(folder: Path, side: str) -> tuple[scipy.sparse.csr_matrix, np.ndarray, np.ndarray]:
    labels = pd.read_csv(folder / f"{side}_obs.csv", dtype=str, keep_default_na=False).iloc[:, -1].to_numpy(str)
    return (
        scipy.sparse.load_npz(folder / f"{side}.npz").tocsr(),
        labels,
        np.array((folder / "genes.txt").read_text().split()),
    )


def groups_of(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    names = np.array(sorted(set(labels) - {CONTROL}))
    code = {CONTROL: 0} | {name: row for row, name in enumerate(names, 1)}
    return np.array([code[label] for label in labels]), names


@pytest.mark.parametrize("case", CASES)
def test_profiles_noise_and_de_tables_are_the_reference_tools(vcc_parity: Path, case: str):
    folder = vcc_parity / "cell_eval2" / case
    x, labels, genes = load(folder, "real")
    groups, names = groups_of(labels)
    cells = in_memory(x)
    totals = scan_cells(cells, groups >= 0).totals
    (real,), controls, mean_counts = summarise_counts(cells, groups[None], names, genes, totals, keep_controls=True)
    expected = [np.asarray(x[groups == group].mean(axis=0)).ravel() for group in range(len(names) + 1)]
    np.testing.assert_allclose(mean_counts, expected, rtol=1e-12)
    y, labels, _ = load(folder, "pred")
    of_pred, _ = groups_of(labels)
    of_pred = np.where(of_pred == 0, -1, of_pred)
    predicted = in_memory(y)
    totals = scan_cells(predicted, of_pred >= 0).totals
    (pred,) = summarise_counts(predicted, of_pred[None], names, genes, totals, controls).summaries
    stored = np.load(folder / "inter.npz")
    order = sorted([*names, CONTROL])
    rows, control = [order.index(name) for name in names], order.index(CONTROL)
    for side, summary in (("real", real), ("pred", pred)):
        # stored by a processor whose logarithm may round the last bit otherwise
        np.testing.assert_allclose(summary.profiles, stored[f"{side}_bulk"][rows], rtol=1e-14)
        np.testing.assert_allclose(summary.noise, stored[f"{side}_C"][rows], rtol=1e-13)
        np.testing.assert_allclose(summary.control, stored["real_bulk"][control], rtol=1e-14)
        assert summary.control_noise == pytest.approx(stored["real_C"][control], rel=1e-13)
        table = pd.read_parquet(folder / f"de_{side}.parquet")
        for column, ours in zip(("p_value", "p_adj", "log2_fold_change"), summary.de, strict=True):
            theirs = table.pivot(index="target", columns="feature", values=column).reindex(index=names, columns=genes)
            np.testing.assert_array_equal(ours, theirs.to_numpy(), err_msg=f"{side} {column}")


def brute_force(counts: np.ndarray) -> float:
    """C of a group by its definition."""
    n, total = len(counts), counts.sum()
    if n < 2 or total == 0:
        return 0.0
    v = []
    for cell in counts:
        rest = total - cell.sum()
        v.append(np.log1p(5e4 * (counts.sum(axis=0) - cell) / rest) if rest > 0 else np.zeros(counts.shape[1]))
    v = np.array(v) - np.log1p(5e4 * counts.sum(axis=0) / total)
    return (n - 1) / n * ((v - v.mean(axis=0)) ** 2).sum()


def panel(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Control cells and three perturbations: 60 cells, 8 cells, 1 cell."""
    rng = np.random.default_rng(5)
    groups = np.repeat([0, 1, 2, 3], [90, 60, 8, 1])
    counts = rng.poisson(rng.gamma(0.4, 6, 30), (len(groups), 30)).astype(float)
    if kind == "one cell has nearly all counts":
        counts[95] *= 400
    if kind == "one cell has all counts":
        counts[groups == 2] = 0
        counts[-3, :5] = 7
    if kind == "empty cells":
        counts[[0, 91, 92, 151]] = 0
    return counts, groups


@pytest.mark.parametrize("kind", ["plain", "one cell has nearly all counts", "one cell has all counts", "empty cells"])
def test_noise_by_its_definition(kind: str):
    counts, groups = panel(kind)
    cells = in_memory(scipy.sparse.csr_matrix(counts.astype(np.float32)))
    (summary,) = summarise_counts(
        cells, groups[None], np.array(list("PQR")), np.arange(30).astype(str), counts.sum(axis=1)
    ).summaries
    expected = [brute_force(counts[groups == group]) for group in range(4)]
    np.testing.assert_allclose([summary.control_noise, *summary.noise], expected, rtol=1e-9)
    assert summary.noise[2] == 0


def test_sorted_controls_and_mean_counts_by_hand():
    x = np.array([[1, 3], [0, 0], [5, 0], [2, 2], [4, 0]], np.float32)
    groups = np.array([0, 0, 0, 1, 1])
    totals = np.array([4.0, 0, 5, 4, 4])
    reduced = summarise_counts(
        in_memory(x), groups[None], np.array(["P"]), np.array(["A", "B"]), totals, keep_controls=True
    )
    logs = reduced.controls.logs
    assert logs.values.dtype == np.float64
    np.testing.assert_array_equal(logs.values, np.log1p([1 / 4e-6, 5 / 5e-6, 3 / 4e-6]))
    assert (logs.pointers.tolist(), logs.n_cells) == ([0, 2, 3], 3)
    np.testing.assert_allclose(reduced.controls.mean_cpm, [1.25e6 / 3, 0.75e6 / 3], rtol=1e-15)
    np.testing.assert_allclose(reduced.means, [[2, 1], [3, 1]], rtol=1e-15)


def test_genes_below_the_gate_are_not_tested():
    counts = np.zeros((8, 3), np.float32)
    counts[:, 0] = 200_000
    counts[:, 1] = 1  # 5 CPM are not above 5
    counts[0, 2] = 9
    groups = np.repeat([0, 1], 4)
    cells = in_memory(counts)
    genes = np.arange(3).astype(str)
    (summary,) = summarise_counts(cells, groups[None], np.array(["P"]), genes, counts.sum(axis=1)).summaries
    assert np.isnan(summary.de.p_value[0]).tolist() == [False, True, False]
    with pytest.raises(InputError, match="no gene has more than 5 CPM in the control cells"):
        empty = counts * (groups > 0)[:, None]
        summarise_counts(in_memory(empty), groups[None], np.array(["P"]), genes, empty.sum(axis=1))


def test_several_groupings_are_as_one_by_one():
    counts, groups = panel("plain")
    cells, totals, genes = in_memory(counts), counts.sum(axis=1), np.arange(30).astype(str)
    rng = np.random.default_rng(0)
    layers = np.stack([groups, np.where(rng.random(len(groups)) < 0.5, groups, -1)])
    layers[1, [0, 1, 90, 91, 150, 151, 158]] = groups[[0, 1, 90, 91, 150, 151, 158]]
    names = np.array(list("PQR"))
    together = summarise_counts(cells, layers, names, genes, totals).summaries
    for layer, summary in zip(layers, together, strict=True):
        (alone,) = summarise_counts(cells, layer[None], names, genes, totals).summaries
        compare(summary, alone)


def test_two_panels_have_controls_of_their_own():
    """Halves of a screen in one grouping are as two groupings, cells added up in the order that is asked for."""
    counts, groups = panel("plain")
    cells, totals, genes = in_memory(counts), counts.sum(axis=1), np.arange(30).astype(str)
    names = np.array(list("PQ"))
    groups = np.where(groups < 3, groups, -1)
    rng = np.random.default_rng(1)
    halves = [[], []]
    for group in range(3):
        for half, members in zip(
            halves, np.array_split(rng.permutation(np.flatnonzero(groups == group)), 2), strict=True
        ):
            half.extend(members)
    layers = np.full((2, len(groups)), -1)
    layers[0] = groups
    layers[1, halves[0]] = groups[halves[0]]
    layers[1, halves[1]] = groups[halves[1]] + 3
    orders = [np.flatnonzero(groups >= 0), np.concatenate(halves)]
    whole, *panels = summarise_counts(cells, layers, names, genes, totals, orders=orders).summaries
    (alone,) = summarise_counts(cells, groups[None], names, genes, totals).summaries
    compare(whole, alone)
    for half, summary in zip(halves, panels, strict=True):
        # the cells of a half, stored in the order in which they were drawn
        (alone,) = summarise_counts(in_memory(counts[half]), groups[half][None], names, genes, totals[half]).summaries
        compare(summary, alone)
        assert summary.control_noise == pytest.approx(brute_force(counts[[i for i in half if groups[i] == 0]]))


def compare(one: Summary, other: Summary) -> None:
    np.testing.assert_array_equal(one.profiles, other.profiles)
    np.testing.assert_allclose(one.noise, other.noise, rtol=1e-14)
    for ours, theirs in zip(one.de, other.de, strict=True):
        np.testing.assert_array_equal(ours, theirs)
