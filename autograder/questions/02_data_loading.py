"""Notebook 02: from a file of cells to what a model reads."""

import itertools

import numpy as np
import pandas as pd
import scipy.optimize
import scipy.sparse
import scipy.stats

from autograder.questions import Mistake, Question
from starter.answers import Function, Object
from starter.check import Same
from starter.schema import CONTROL

WITHOUT = ("starter.ranksum", "starter.de", "starter.matching", "starter.cell_sets")
"""What the kit has of these answers."""


def _expression(rng: np.random.Generator, n_cells: int, n_genes: int) -> scipy.sparse.csr_matrix:
    """log1p expression with many zeros; no gene is zero in all cells."""
    counts = rng.poisson(rng.gamma(1.0, 1.5, n_genes), (n_cells, n_genes))
    counts[rng.integers(n_cells, size=n_genes), np.arange(n_genes)] += 1
    return scipy.sparse.csr_matrix(np.log1p(counts * rng.uniform(0.5, 2.0, (n_cells, 1))).astype(np.float32))


# ---- csr_row: one cell out of three arrays


def _csr_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    """Ask for a cell in the middle, for the last one, and for one without counts, whose neighbours have some."""
    cases = []
    for n_cells, n_genes, cell in ((5, 8, 2), (4, 11, 3), (6, 9, 1)):
        counts = rng.poisson(0.8, (n_cells, n_genes)) + 2 * (rng.random((n_cells, n_genes)) < 0.15)
        counts[:, 0] += 1
        if cell == 1:
            counts[cell] = 0
        x = scipy.sparse.csr_matrix(counts, dtype=np.float32)
        cases.append({"data": x.data, "indices": x.indices, "indptr": x.indptr, "cell": cell, "n_genes": n_genes})
    return cases


def _csr_row(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, cell: int | slice, n_genes: int) -> np.ndarray:
    x = scipy.sparse.csr_matrix((data, indices, indptr), shape=(len(indptr) - 1, n_genes))
    return x.toarray()[cell]


def _stored_only(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, cell: int, n_genes: int) -> np.ndarray:
    del indices, n_genes
    return data[indptr[cell] : indptr[cell + 1]]


def _one_cell_late(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, cell: int, n_genes: int) -> np.ndarray:
    x = _csr_row(data, indices, indptr, slice(None), n_genes)
    return x[cell + 1] if cell + 1 < len(x) else np.zeros(n_genes, data.dtype)


def _last_left_out(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, cell: int, n_genes: int) -> np.ndarray:
    row = np.zeros(n_genes, data.dtype)
    for place in range(indptr[cell], indptr[cell + 1] - 1):
        row[indices[place]] = data[place]
    return row


def _packed_left(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, cell: int, n_genes: int) -> np.ndarray:
    stored = _stored_only(data, indices, indptr, cell, n_genes)
    return np.append(stored, np.zeros(n_genes - len(stored), data.dtype))


# ---- pseudobulk: means of groups


def _bulk_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for n_genes, names in ((6, "QBZ"), (9, "TAMC"), (5, "XE")):
        labels = np.repeat([f"GENE{name}" for name in names], rng.integers(2, 8, len(names)) + np.arange(len(names)))
        labels = rng.permutation(labels)
        labels[0] = max(labels)  # whoever takes the groups as they appear has another order
        cases.append({"expression": _expression(rng, len(labels), n_genes), "labels": labels})
    return cases


def _pseudobulk(expression: scipy.sparse.csr_matrix, labels: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(expression.toarray().astype(float)).groupby(np.asarray(labels)).mean()


def _sums(expression: scipy.sparse.csr_matrix, labels: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(expression.toarray().astype(float)).groupby(np.asarray(labels)).sum()


def _over_all(expression: scipy.sparse.csr_matrix, labels: np.ndarray) -> pd.DataFrame:
    return _sums(expression, labels) / len(labels)


def _without_zeros(expression: scipy.sparse.csr_matrix, labels: np.ndarray) -> pd.DataFrame:
    dense = pd.DataFrame(expression.toarray().astype(float))
    return dense.where(dense > 0).groupby(np.asarray(labels)).mean().fillna(0)


def _in_order_of_appearance(expression: scipy.sparse.csr_matrix, labels: np.ndarray) -> pd.DataFrame:
    return _pseudobulk(expression, labels).set_axis(pd.unique(np.asarray(labels)), axis=0)


# ---- rank_sum_z


def _rank_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    """Expression with a large tie at zero and small ones above."""
    cases = []
    for n_perturbed, n_control, shift in ((9, 14, 1.6), (23, 17, 0.6), (12, 31, 2.2)):
        perturbed, control = rng.poisson(1.1 * shift, n_perturbed), rng.poisson(1.1, n_control)
        perturbed[:2], control[:3] = (0, 3), 0
        cases.append({"perturbed": np.log1p(perturbed), "control": np.log1p(control)})
    return cases


def _rank_sum_z(perturbed: np.ndarray, control: np.ndarray) -> float:
    half = len(perturbed) * len(control) / 2
    result = scipy.stats.mannwhitneyu(perturbed, control, method="asymptotic", use_continuity=False)
    return float(np.sign(result.statistic - half) * scipy.stats.norm.isf(result.pvalue / 2))


def _u(perturbed: np.ndarray, control: np.ndarray) -> float:
    higher = np.asarray(perturbed)[:, None] - np.asarray(control)
    return float((higher > 0).sum() + (higher == 0).sum() / 2)


def _centred(u: float, perturbed: np.ndarray, control: np.ndarray) -> float:
    """Give z without the correction for ties."""
    n1, n2 = len(perturbed), len(control)
    return (u - n1 * n2 / 2) / float(np.sqrt(n1 * n2 * (n1 + n2 + 1) / 12))


def _z_without_ties(perturbed: np.ndarray, control: np.ndarray) -> float:
    return _centred(_u(perturbed, control), perturbed, control)


def _z_of_rank_sum(perturbed: np.ndarray, control: np.ndarray) -> float:
    n1 = len(perturbed)
    shift = _centred(_u(perturbed, control) + n1 * (n1 + 1) / 2, perturbed, control)
    return shift * _rank_sum_z(perturbed, control) / _z_without_ties(perturbed, control)


def _z_of_control(perturbed: np.ndarray, control: np.ndarray) -> float:
    return -_rank_sum_z(perturbed, control)


def _squared_z(perturbed: np.ndarray, control: np.ndarray) -> float:
    z, without = _rank_sum_z(perturbed, control), _z_without_ties(perturbed, control)
    n1, n2 = len(perturbed), len(control)
    sigma = np.sqrt(n1 * n2 * (n1 + n2 + 1) / 12) * without / z
    return float(z / sigma)


# ---- guide_test


def _guide_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    """Control guides that scatter less, and guides of another target between them."""
    cases = []
    for n_genes, n_guides, n_controls in ((6, 3, 7), (9, 4, 5), (4, 3, 9)):
        targets = np.array(["GENEA"] * n_guides + [CONTROL] * n_controls + ["GENEB"] * 3)
        scatter = np.where(targets == CONTROL, 0.08, 0.3)
        profiles = rng.gamma(2.0, 0.5, n_genes) + scatter[:, None] * rng.standard_normal((len(targets), n_genes))
        profiles += 0.7 * (targets == "GENEA")[:, None] * rng.standard_normal(n_genes)
        order = rng.permutation(len(targets))
        cases.append({"profiles": profiles[order], "target_of_guide": targets[order], "target": "GENEA"})
    return cases


def _welch(mine: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Welch (1947), Biometrika 34:28, written out."""
    errors = [group.var(axis=0, ddof=1) / len(group) for group in (mine, other)]
    t = (mine.mean(axis=0) - other.mean(axis=0)) / np.sqrt(sum(errors))
    df = sum(errors) ** 2 / sum(error**2 / (len(group) - 1) for error, group in zip(errors, (mine, other), strict=True))
    return 2 * scipy.stats.t.sf(np.abs(t), df)


def _guide_test(profiles: np.ndarray, target_of_guide: np.ndarray, target: str) -> np.ndarray:
    return _welch(profiles[target_of_guide == target], profiles[target_of_guide == CONTROL])


def _students_t(profiles: np.ndarray, target_of_guide: np.ndarray, target: str) -> np.ndarray:
    mine, control = profiles[target_of_guide == target], profiles[target_of_guide == CONTROL]
    return scipy.stats.ttest_ind(mine, control).pvalue


def _against_all(profiles: np.ndarray, target_of_guide: np.ndarray, target: str) -> np.ndarray:
    return _welch(profiles[target_of_guide == target], profiles[target_of_guide != target])


def _t_not_p(profiles: np.ndarray, target_of_guide: np.ndarray, target: str) -> np.ndarray:
    mine, control = profiles[target_of_guide == target], profiles[target_of_guide == CONTROL]
    return scipy.stats.ttest_ind(mine, control, equal_var=False).statistic


def _rank_sum_of_guides(profiles: np.ndarray, target_of_guide: np.ndarray, target: str) -> np.ndarray:
    mine, control = profiles[target_of_guide == target], profiles[target_of_guide == CONTROL]
    return scipy.stats.mannwhitneyu(mine, control).pvalue


# ---- assign_folds


def _fold_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for n_perturbations, n_folds in ((7, 3), (5, 2), (11, 4)):
        names = [f"GENE{number}" for number in range(n_perturbations)]
        labels = np.repeat([*names, CONTROL], rng.integers(1, 5, n_perturbations + 1))
        order = [str(name) for name in rng.permutation(names)]
        if order == names:
            order = order[::-1]
        cases.append({"target_gene": rng.permutation(labels), "order": order, "n_folds": n_folds})
    return cases


def _assign_folds(target_gene: np.ndarray, order: list[str], n_folds: int) -> np.ndarray:
    return np.array([-1 if label == CONTROL else order.index(label) % n_folds for label in target_gene])


def _dealt_cells(target_gene: np.ndarray, order: list[str], n_folds: int) -> np.ndarray:
    del order
    return np.where(np.asarray(target_gene) == CONTROL, -1, np.arange(len(target_gene)) % n_folds)


def _controls_in_fold_0(target_gene: np.ndarray, order: list[str], n_folds: int) -> np.ndarray:
    return np.maximum(_assign_folds(target_gene, order, n_folds), 0)


def _folds_in_runs(target_gene: np.ndarray, order: list[str], n_folds: int) -> np.ndarray:
    size = -(-len(order) // n_folds)
    return np.array([-1 if label == CONTROL else order.index(label) // size for label in target_gene])


def _folds_by_name(target_gene: np.ndarray, order: list[str], n_folds: int) -> np.ndarray:
    return _assign_folds(target_gene, sorted(order), n_folds)


# ---- match_controls


def _match_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    """Draw cells of two batches, one of them deeper; in one case a batch has fewer controls than perturbed cells."""
    cases = []
    for sizes in (((3, 5), (2, 4)), ((4, 5), (3, 2)), ((2, 6), (4, 5))):
        cells = _cells_to_match(rng, sizes)
        # by chance alone, logs and z-scores may change no pair
        while any((_match_controls(**cells, **off) == _match_controls(**cells)).all() for off in (NO_LOGS, NO_SCALE)):
            cells = _cells_to_match(rng, sizes)
        cases.append(cells)
    return cases


NO_LOGS, NO_SCALE = {"logs": False}, {"scale": False}


def _cells_to_match(rng: np.random.Generator, sizes: tuple[tuple[int, int], ...]) -> dict[str, object]:
    parts = []
    for number, (n_perturbed, n_controls) in enumerate(sizes):
        n = n_perturbed + n_controls
        umis = np.rint(rng.lognormal(8.5 + 0.6 * number, 0.7, n))
        genes = np.rint(umis**0.6 * rng.lognormal(2.2, 0.25, n))
        perturbed = np.arange(n) < n_perturbed
        parts.append(pd.DataFrame({"umis": umis, "genes": genes, "batch": f"rep{number}", "perturbed": perturbed}))
    cells = pd.concat(parts).iloc[rng.permutation(sum(len(part) for part in parts))]
    return {
        "features": cells[["umis", "genes"]].to_numpy(),
        "batch": cells["batch"].to_numpy(str),
        "perturbed": cells["perturbed"].to_numpy(),
    }


def _z_scores(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=0)) / x.std(axis=0)


def _nearest_pairs(scaled: np.ndarray, cells: np.ndarray, controls: np.ndarray) -> list[tuple[int, int]]:
    """Try every assignment of some rows to others."""
    n = min(len(cells), len(controls))
    every = (
        list(zip(some, others, strict=True))
        for some in itertools.combinations(cells, n)
        for others in itertools.permutations(controls, n)
    )
    return min(every, key=lambda pairs: sum(np.linalg.norm(scaled[i] - scaled[j]) for i, j in pairs))


def _match_controls(
    features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray, *, logs: bool = True, scale: bool = True
) -> np.ndarray:
    control_of = np.full(len(batch), -1)
    for label in sorted(set(batch)):
        here = np.flatnonzero(batch == label)
        x = np.log1p(features[here]) if logs else features[here]
        x = _z_scores(x) if scale else x
        for i, j in _nearest_pairs(x, np.flatnonzero(perturbed[here]), np.flatnonzero(~perturbed[here])):
            control_of[here[i]] = here[j]
    return control_of


def _across_batches(features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    """One assignment for all cells, by a library, as there are too many to try."""
    del batch
    z = _z_scores(np.log1p(features))
    cells, controls = np.flatnonzero(perturbed), np.flatnonzero(~perturbed)
    distances = np.linalg.norm(z[cells][:, None] - z[controls], axis=2)
    rows, columns = scipy.optimize.linear_sum_assignment(distances)
    control_of = np.full(len(perturbed), -1)
    control_of[cells[rows]] = controls[columns]
    return control_of


def _nearest(features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    """Greedy: each cell takes its nearest control, whoever else has it."""
    control_of = np.full(len(batch), -1)
    for cell in np.flatnonzero(perturbed):
        here = np.flatnonzero(batch == batch[cell])
        z = _z_scores(np.log1p(features[here]))
        controls = np.flatnonzero(~perturbed[here])
        distance = np.linalg.norm(z[controls] - z[here == cell], axis=1)
        control_of[cell] = here[controls[distance.argmin()]]
    return control_of


def _numbered_in_batch(features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    """Give the place among the batch's controls instead of the row."""
    control_of = _match_controls(features, batch, perturbed)
    return np.array(
        [-1 if control < 0 else int(((batch == batch[control]) & ~perturbed)[:control].sum()) for control in control_of]
    )


# ---- CellSets


def _set_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for n_cells, n_genes, n_sets, size, asked in ((13, 6, 4, 3, 2), (17, 9, 5, 2, 0), (11, 7, 3, 4, 2)):
        build = {
            "expression": _expression(rng, n_cells, n_genes),
            "control": rng.integers(n_cells, size=(n_sets, size)),
            "perturbation": rng.permutation(n_sets + 3)[:n_sets] + 3,
            "perturbed": rng.integers(n_cells, size=(n_sets, size)),
        }
        cases.append({"build": build, "calls": [["__len__", {}], ["__getitem__", {"index": asked}]]})
    return cases


def _sets(build: dict[str, object], calls: list) -> list:
    index = calls[1][1]["index"]
    dense = build["expression"].toarray()
    control, perturbed = dense[build["control"][index]], dense[build["perturbed"][index]]
    return [len(build["control"]), [control, int(build["perturbation"][index]), perturbed]]


def _changed(build: dict[str, object], calls: list, *, n: int | None = None, item: object = None) -> list:
    due = _sets(build, calls)
    return [due[0] if n is None else n, due[1] if item is None else item(due[1])]


def _cells_counted(build: dict[str, object], calls: list) -> list:
    return _changed(build, calls, n=build["expression"].shape[0])


def _all_of_a_set_counted(build: dict[str, object], calls: list) -> list:
    return _changed(build, calls, n=build["control"].size)


def _reversed_parts(build: dict[str, object], calls: list) -> list:
    return _changed(build, calls, item=lambda parts: [parts[2], parts[1], parts[0]])


def _index_as_perturbation(build: dict[str, object], calls: list) -> list:
    return _changed(build, calls, item=lambda parts: [parts[0], calls[1][1]["index"], parts[2]])


def _rows_only(build: dict[str, object], calls: list) -> list:
    index = calls[1][1]["index"]
    return _changed(build, calls, item=lambda parts: [build["control"][index], parts[1], build["perturbed"][index]])


def _means_of_sets(build: dict[str, object], calls: list) -> list:
    return _changed(build, calls, item=lambda parts: [parts[0].mean(axis=0), parts[1], parts[2].mean(axis=0)])


# ---- block_order


def _block_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    """Make the last block smaller and put it elsewhere than at the end; in one case all are equal."""
    cases = []
    for n_cells, block_size in ((23, 5), (17, 3), (28, 7)):
        n_blocks = -(-n_cells // block_size)
        order = rng.permutation(n_blocks)
        if order[-1] == n_blocks - 1:
            order = order[::-1].copy()
        cases.append({"n_cells": n_cells, "block_size": block_size, "order": order})
    return cases


def _block_order(n_cells: int, block_size: int, order: np.ndarray) -> np.ndarray:
    return np.array([row for block in order for row in range(n_cells) if row // block_size == block])


def _too_far(n_cells: int, block_size: int, order: np.ndarray) -> np.ndarray:
    del n_cells
    return (np.asarray(order)[:, None] * block_size + np.arange(block_size)).ravel()


def _whole_blocks_only(n_cells: int, block_size: int, order: np.ndarray) -> np.ndarray:
    whole = [block for block in order if (block + 1) * block_size <= n_cells]
    return _block_order(n_cells, block_size, np.array(whole))


def _blocks_in_order(n_cells: int, block_size: int, order: np.ndarray) -> np.ndarray:
    del block_size, order
    return np.arange(n_cells)


def _block_numbers(n_cells: int, block_size: int, order: np.ndarray) -> np.ndarray:
    return _block_order(n_cells, block_size, order) // block_size


def _one_row_of_each(n_cells: int, block_size: int, order: np.ndarray) -> np.ndarray:
    """Deal rows out over the blocks instead of taking neighbours."""
    del block_size
    return np.concatenate([np.arange(block, n_cells, len(order)) for block in order])


QUESTIONS = (
    Question(
        name="csr_row",
        asks=Function("csr_row"),
        inputs=_csr_cases,
        due=_csr_row,
        mistakes=(
            Mistake(
                "only the stored counts came; put them into an array with a zero for every other gene", _stored_only
            ),
            Mistake("this is the next cell; cell i stands from indptr[i] on, and cells count from 0", _one_cell_late),
            Mistake(
                "the cell's last count is missing; the end of a slice is left out anyway, so do not take 1 away",
                _last_left_out,
            ),
            Mistake("the counts stand in the first columns; indices says to which gene each belongs", _packed_left),
        ),
        without=WITHOUT,
    ),
    Question(
        name="pseudobulk",
        asks=Function("pseudobulk"),
        inputs=_bulk_cases,
        due=_pseudobulk,
        comparator=Same(),
        mistakes=(
            Mistake("these are sums; divide each group's by its own number of cells", _sums),
            Mistake("the sums are divided by the number of all cells; take each group's own number", _over_all),
            Mistake("zeros count, too: divide by the number of cells, not of stored values", _without_zeros),
            Mistake(
                "the rows carry other groups' names; np.unique gives the names sorted, and the numbers with them",
                _in_order_of_appearance,
            ),
        ),
        without=WITHOUT,
    ),
    Question(
        name="rank_sum_z",
        asks=Function("rank_sum_z"),
        inputs=_rank_cases,
        due=_rank_sum_z,
        mistakes=(
            Mistake("the ties are not corrected for; subtract the sum over groups of tied cells", _z_without_ties),
            Mistake(
                "this is the z of the control cells; count pairs in which the perturbed cell is higher", _z_of_control
            ),
            Mistake("the sum of ranks is not yet U; subtract n1 (n1 + 1) / 2 from it", _z_of_rank_sum),
            Mistake("this is divided by the variance; take its square root", _squared_z),
            Mistake("this is U; subtract what chance gives, and divide by sigma", _u),
        ),
        without=WITHOUT,
    ),
    Question(
        name="guide_test",
        asks=Function("guide_test"),
        inputs=_guide_cases,
        due=_guide_test,
        mistakes=(
            Mistake("this is Student's test, which takes both variances for equal; use equal_var=False", _students_t),
            Mistake(
                "the other targets' guides count as controls; compare with the non-targeting ones only", _against_all
            ),
            Mistake("these are the t statistics; the p-values are in .pvalue", _t_not_p),
            Mistake("this is a rank-sum test; a t-test is asked for", _rank_sum_of_guides),
        ),
        without=WITHOUT,
    ),
    Question(
        name="assign_folds",
        asks=Function("assign_folds"),
        inputs=_fold_cases,
        due=_assign_folds,
        mistakes=(
            Mistake("the cells are dealt out, so a perturbation is in several folds: that is the leak", _dealt_cells),
            Mistake("control cells are in fold 0; give them -1", _controls_in_fold_0),
            Mistake(
                "each fold is a run of the order; deal one to each fold in turn (number % n_folds)", _folds_in_runs
            ),
            Mistake("the perturbations are dealt by name; deal them in the given order", _folds_by_name),
        ),
        without=WITHOUT,
    ),
    Question(
        name="match_controls",
        asks=Function("match_controls"),
        inputs=_match_cases,
        due=_match_controls,
        mistakes=(
            Mistake("cells are matched across batches; assign within each batch", _across_batches),
            Mistake("this is each cell's nearest control, which several share; use linear_sum_assignment", _nearest),
            Mistake(
                "the control's number within its batch came; give its row among all cells (np.flatnonzero)",
                _numbered_in_batch,
            ),
            Mistake(
                "the features are not on the log scale; take np.log1p before z-scoring",
                lambda **case: _match_controls(**case, **NO_LOGS),
            ),
            Mistake(
                "the features are not z-scored, so the one that varies more decides",
                lambda **case: _match_controls(**case, **NO_SCALE),
            ),
        ),
        without=WITHOUT,
    ),
    Question(
        name="CellSets",
        asks=Object("CellSets"),
        inputs=_set_cases,
        due=_sets,
        comparator=Same(),
        mistakes=(
            Mistake("the length is the number of sets, not of the screen's cells", _cells_counted),
            Mistake("the length is the number of sets, not of the cells in them", _all_of_a_set_counted),
            Mistake("control and perturbed cells are exchanged; the control set comes first", _reversed_parts),
            Mistake("the index came as the perturbation; look it up in self.perturbation", _index_as_perturbation),
            Mistake("row numbers came; take these rows of self.expression", _rows_only),
            Mistake("the mean of each set came; give every cell of it", _means_of_sets),
        ),
        without=WITHOUT,
    ),
    Question(
        name="block_order",
        asks=Function("block_order"),
        inputs=_block_cases,
        due=_block_order,
        mistakes=(
            Mistake("rows come that the file does not have; end the last block at n_cells", _too_far),
            Mistake("the last, smaller block is missing", _whole_blocks_only),
            Mistake("the blocks come in the file's order; take them in the given order", _blocks_in_order),
            Mistake("numbers of blocks came; give the rows of each", _block_numbers),
            Mistake("the rows of a block are not neighbours; block i begins at row i * block_size", _one_row_of_each),
        ),
        without=WITHOUT,
    ),
)
