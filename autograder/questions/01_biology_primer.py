"""Notebook 01: zeros, quality control, normalisation, knock-down, differential expression, escaped cells."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.special
import scipy.stats

from autograder.questions import Mistake, Question
from starter.answers import Function
from starter.check import Close, Same
from starter.schema import CONTROL

ROUNDS = 100
"""Of expectation maximisation."""


# --- zeros


def _count_matrices(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three sparse matrices of different density; more genes than cells, and the reverse."""
    cases = []
    for n_cells, n_genes, mean in ((9, 14, 0.3), (17, 6, 1.1), (23, 11, 0.7)):
        counts = rng.poisson(rng.gamma(1.0, mean, (n_cells, n_genes)))
        counts[0, 0], counts[1, 1] = 0, 3  # neither empty nor full
        cases.append({"counts": scipy.sparse.csr_matrix(counts, dtype=np.float32)})
    return cases


def _share_of_zeros(counts: scipy.sparse.csr_matrix) -> float:
    return float((counts.toarray() == 0).mean())


def _share_of_values(counts: scipy.sparse.csr_matrix) -> float:
    return float((counts.toarray() > 0).mean())


def _percent_of_zeros(counts: scipy.sparse.csr_matrix) -> float:
    return 100 * _share_of_zeros(counts)


def _number_of_zeros(counts: scipy.sparse.csr_matrix) -> int:
    return int((counts.toarray() == 0).sum())


def _stored_zeros(counts: scipy.sparse.csr_matrix) -> float:
    del counts
    return 0.0  # no zero is stored


def _screens(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three sparse screens: cells of very different depth, which is more than the row sum."""
    cases = []
    for n_cells, n_genes in ((13, 8), (31, 5), (7, 19)):
        n_umis = np.rint(rng.lognormal(np.log(900), 0.8, n_cells)) + 200
        rate = rng.gamma(0.8, 1.5e-3, n_genes) + 2e-4
        counts = np.minimum(rng.poisson(np.outer(n_umis, rate)), np.floor(n_umis / n_genes)[:, None])
        counts[0] += 1  # no gene without counts
        cases.append({"counts": scipy.sparse.csr_matrix(counts, dtype=np.float32), "n_umis": n_umis})
    return cases


def _expected_zeros(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray) -> np.ndarray:
    totals = counts.toarray().astype(float).sum(axis=0)
    return np.array([np.mean([np.exp(-umis * total / n_umis.sum()) for umis in n_umis]) for total in totals])


def _zeros_at_one_depth(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray) -> np.ndarray:
    del n_umis
    return np.exp(-counts.toarray().mean(axis=0))


def _seen_zeros(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray) -> np.ndarray:
    del n_umis
    return (counts.toarray() == 0).mean(axis=0)


def _expected_non_zeros(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray) -> np.ndarray:
    return 1 - _expected_zeros(counts, n_umis)


def _zeros_of_cells(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray) -> np.ndarray:
    rate = counts.toarray().sum(axis=0) / n_umis.sum()
    return np.exp(-np.outer(n_umis, rate)).mean(axis=1)


def _zeros_by_row_sum(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray) -> np.ndarray:
    del n_umis
    return _expected_zeros(counts, counts.toarray().sum(axis=1))


# --- quality control


def _cells(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three sets of cells with odd ones of every kind, between the limits of usual mistakes and the right ones."""
    cases = []
    for n in (83, 140, 57):
        log_umis, mito = rng.normal(9, 0.4, n), rng.gamma(60, 0.08, n)
        centre, spread = np.median(log_umis), _mad(log_umis)
        mito_centre, mito_spread = np.median(mito), _mad(mito)
        # (depth, mitochondrial) in MADs: too deep, too shallow, torn, and cells that are no fault
        odd = [(4.1, 0.2), (3.7, -0.6), (-5.2, 0.1), (-4.4, 8), (0.3, 6.3), (2.4, 0.4), (-2.5, -0.3), (0.2, 4.2)]
        odd += [(1.1, 3.6), (-3.9, 0.5), (0.7, 12)]
        shift, mito_shift = np.array(odd).T
        log_umis = np.append(log_umis, centre + shift * spread)
        mito = np.append(mito, np.maximum(mito_centre + mito_shift * mito_spread, 0.01))
        mito[:4] = 0.0  # healthy cells without mitochondrial RNA, far below the rest
        order = rng.permutation(len(mito))
        cases.append({"n_umis": np.exp(log_umis)[order].round(), "percent_mito": mito[order]})
    return cases


def _mad(values: np.ndarray) -> float:
    return 1.482602218505602 * float(np.median(np.abs(values - np.median(values))))


def _qc_mask(n_umis: np.ndarray, percent_mito: np.ndarray) -> np.ndarray:
    depth, highest = np.log(n_umis), np.median(percent_mito) + 5 * _mad(percent_mito)
    low, high = np.median(depth) - 3 * _mad(depth), np.median(depth) + 3 * _mad(depth)
    return np.array(
        [low <= cell <= high and mito <= highest for cell, mito in zip(depth, percent_mito, strict=True)], dtype=bool
    )


def _removed(n_umis: np.ndarray, percent_mito: np.ndarray) -> np.ndarray:
    return ~_qc_mask(n_umis, percent_mito)


def _mask_of(
    depth: Callable[[np.ndarray], np.ndarray] = np.log,
    spread: Callable[[np.ndarray], float] = _mad,
    *,
    upper: bool = True,
    lower_mito: float = -np.inf,
) -> Callable[..., np.ndarray]:
    """Make a mask with another scale, another spread, without the upper tail of depth or with a lower one of mito."""

    def mask(n_umis: np.ndarray, percent_mito: np.ndarray) -> np.ndarray:
        z = (depth(n_umis) - np.median(depth(n_umis))) / spread(depth(n_umis))
        z_mito = (percent_mito - np.median(percent_mito)) / spread(percent_mito)
        return (z >= -3) & ((z <= 3) | (not upper)) & (z_mito <= 5) & (z_mito >= lower_mito)

    return mask


def _plain_mad(values: np.ndarray) -> float:
    return float(np.median(np.abs(values - np.median(values))))


def _either(n_umis: np.ndarray, percent_mito: np.ndarray) -> np.ndarray:
    depth = np.log(n_umis)
    in_depth = np.abs(depth - np.median(depth)) <= 3 * _mad(depth)
    return in_depth | (percent_mito <= np.median(percent_mito) + 5 * _mad(percent_mito))


# --- normalisation


def _to_normalise(rng: np.random.Generator) -> list[dict[str, object]]:
    sums = (1_731.0, 640.0, 5_207.0)
    return [case | {"target_sum": target} for case, target in zip(_screens(rng), sums, strict=True)]


def _normalise(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> np.ndarray:
    return np.array([np.log1p(target_sum * row / umis) for row, umis in zip(counts.toarray(), n_umis, strict=True)])


def _log_first(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> np.ndarray:
    return target_sum * np.log1p(counts.toarray()) / n_umis[:, None]


def _by_row_sum(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> np.ndarray:
    del n_umis
    return _normalise(counts, np.maximum(counts.toarray().sum(axis=1), 1), target_sum)


def _no_log(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> np.ndarray:
    return target_sum * counts.toarray() / n_umis[:, None]


def _to_ten_thousand(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> np.ndarray:
    del target_sum
    return _normalise(counts, n_umis, 10_000)


def _log2(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> np.ndarray:
    return _normalise(counts, n_umis, target_sum) / np.log(2)


# --- knock-down


def _knocked(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three targets: guides of different strength and size, deep and shallow cells, several control guides."""
    cases = []
    for target, n_guides in (("GENEA", 3), ("GENEB", 4), ("GENEC", 2)):
        groups = [(f"{CONTROL}_{i}", CONTROL, 1.0) for i in range(1, 4)]
        groups += [(f"{target}_{i}", target, rng.uniform(0.1, 0.9)) for i in range(1, n_guides + 1)]
        cells = []
        for guide, label, left in groups:
            depth = np.rint(rng.lognormal(np.log(rng.uniform(600, 3_000)), 0.5, int(rng.integers(5, 15)))) + 100
            cells += [(int(rng.poisson(4e-3 * left * umis)) + 1, umis, guide, label) for umis in depth]
        cells = [cells[i] for i in rng.permutation(len(cells))]
        umis, n_umis, guide, label = zip(*cells, strict=True)
        cases.append(
            {
                "umis": np.array(umis, float),
                "n_umis": np.array(n_umis),
                "guide": np.array(guide),
                "target_gene": np.array(label),
            }
        )
    return cases


def _residuals_of(
    rate: Callable[[np.ndarray, np.ndarray], float], *, all_cells: bool = False, controls: bool = False
) -> Callable[..., pd.DataFrame]:
    """Make the table with a group's rate from its UMIs and depths; compared with all cells; with control guides."""

    def table(umis: np.ndarray, n_umis: np.ndarray, guide: np.ndarray, target_gene: np.ndarray) -> pd.DataFrame:
        is_control = target_gene == CONTROL
        base = rate(umis, n_umis) if all_cells else rate(umis[is_control], n_umis[is_control])
        rows = {
            str(name): (int((guide == name).sum()), rate(umis[guide == name], n_umis[guide == name]) / base)
            for name in np.unique(guide if controls else guide[~is_control])
        }
        return pd.DataFrame.from_dict(rows, orient="index", columns=["n_cells", "residual"])

    return table


def _pooled(umis: np.ndarray, n_umis: np.ndarray) -> float:
    return float(umis.sum() / n_umis.sum())


def _mean_of_ratios(umis: np.ndarray, n_umis: np.ndarray) -> float:
    return float((umis / n_umis).mean())


def _mean_count(umis: np.ndarray, n_umis: np.ndarray) -> float:
    del n_umis
    return float(umis.mean())


def _fall(umis: np.ndarray, n_umis: np.ndarray, guide: np.ndarray, target_gene: np.ndarray) -> pd.DataFrame:
    table = _residuals_of(_pooled)(umis, n_umis, guide, target_gene)
    return table.assign(residual=1 - table["residual"])


# --- differential expression


def _two_groups(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three comparisons with many zeros, groups of different size, one gene in three changed."""
    cases = []
    for n_perturbed, n_control, n_genes in ((19, 34, 8), (27, 15, 12), (12, 41, 5)):
        mean = rng.gamma(2.0, 0.8, n_genes) + 0.3
        factor = np.where(np.arange(n_genes) % 3 == 0, rng.choice([0.25, 3.0], n_genes), 1.0)
        perturbed, control = (
            np.log1p(rng.poisson(rng.gamma(2.0, level / 2, (n, n_genes))) * rng.uniform(0.6, 1.6, (n, 1)))
            for n, level in ((n_perturbed, mean * factor), (n_control, mean))
        )
        perturbed[0], control[0] = np.maximum(perturbed[0], 0.4), np.maximum(control[0], 0.3)  # no empty gene
        genes = [f"GENE{number}" for number in rng.permutation(n_genes * 3)[:n_genes]]
        cases.append({"perturbed": perturbed, "control": control, "genes": np.array(genes)})
    return cases


def _rank_test(perturbed: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Give two-sided p of the Mann-Whitney test, from pairs: normal, with corrections for ties and continuity."""
    p = []
    for a, b in zip(perturbed.T, control.T, strict=True):
        n = len(a) + len(b)
        wins = (a[:, None] > b).sum() + 0.5 * (a[:, None] == b).sum()
        _, tied = np.unique(np.append(a, b), return_counts=True)
        variance = len(a) * len(b) / 12 * (n + 1 - (tied**3 - tied).sum() / (n * (n - 1)))
        distance = abs(wins - len(a) * len(b) / 2) - 0.5
        p.append(min(1.0, 2 * scipy.special.ndtr(-distance / np.sqrt(variance))))
    return np.array(p)


def _benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Give the smallest false discovery rate at which each gene would be called: by hand, from its definition."""
    return np.array([min(min(1.0, len(p) * limit / (p <= limit).sum()) for limit in p[p >= own]) for own in p])


def _fold(perturbed: np.ndarray, control: np.ndarray) -> np.ndarray:
    return np.log2((np.expm1(perturbed.mean(axis=0)) + 1e-9) / (np.expm1(control.mean(axis=0)) + 1e-9))


def _table_of(
    fold: Callable[..., np.ndarray] = _fold,
    test: Callable[..., np.ndarray] = _rank_test,
    correct: Callable[[np.ndarray], np.ndarray] = _benjamini_hochberg,
) -> Callable[..., pd.DataFrame]:
    """Make the table, with its parts."""

    def table(perturbed: np.ndarray, control: np.ndarray, genes: np.ndarray) -> pd.DataFrame:
        p = test(perturbed, control)
        return pd.DataFrame(
            {"log2_fold_change": fold(perturbed, control), "p_value": p, "fdr": correct(p)}, index=genes
        )

    return table


def _swapped(perturbed: np.ndarray, control: np.ndarray) -> np.ndarray:
    return _fold(control, perturbed)


def _of_logs(perturbed: np.ndarray, control: np.ndarray) -> np.ndarray:
    return perturbed.mean(axis=0) - control.mean(axis=0)


def _expm1_first(perturbed: np.ndarray, control: np.ndarray) -> np.ndarray:
    return np.log2((np.expm1(perturbed).mean(axis=0) + 1e-9) / (np.expm1(control).mean(axis=0) + 1e-9))


def _natural_log(perturbed: np.ndarray, control: np.ndarray) -> np.ndarray:
    return _fold(perturbed, control) * np.log(2)


def _t_test(perturbed: np.ndarray, control: np.ndarray) -> np.ndarray:
    return scipy.stats.ttest_ind(perturbed, control).pvalue


def _no_correction(p: np.ndarray) -> np.ndarray:
    return p


def _bonferroni(p: np.ndarray) -> np.ndarray:
    return np.minimum(len(p) * p, 1)


# --- escaped cells


def _scores(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three targets: more or fewer cells escaped, the perturbed ones wider or narrower than the controls."""
    cases = []
    for n, n_control, share, deviation in ((61, 130, 0.7, 0.35), (94, 77, 0.45, 0.15), (118, 203, 0.85, 0.3)):
        n_perturbed = round(share * n)
        mean = rng.uniform(1.1, 1.4)
        score = np.append(rng.normal(mean, deviation, n_perturbed), rng.normal(0.05, 0.22, n - n_perturbed))
        cases.append({"score": rng.permutation(score), "control_score": rng.normal(0.03, 0.22, n_control)})
    return cases


def _log_normal(x: np.ndarray, mean: float, deviation: float) -> np.ndarray:
    return -0.5 * ((x - mean) / deviation) ** 2 - np.log(deviation)


def _mixture(
    score: np.ndarray,
    control_score: np.ndarray,
    rounds: int = ROUNDS,
    *,
    fixed_share: bool = False,
    fixed_deviation: bool = False,
    fixed_controls: bool = True,
) -> np.ndarray:
    """Fit the mixture by log odds, with parts of it that may be held or let go."""
    zero, width = control_score.mean(), control_score.std()
    share, mean, deviation = 0.5, score.mean(), width if fixed_deviation else score.std()
    for _ in range(rounds):
        odds = _log_normal(score, mean, deviation) - _log_normal(score, zero, width) + scipy.special.logit(share)
        weight = scipy.special.expit(odds)
        mean = weight @ score / weight.sum()
        if not fixed_share:
            share = weight.sum() / len(score)
        if not fixed_deviation:
            deviation = np.sqrt(weight @ (score - mean) ** 2 / weight.sum())
        if not fixed_controls:
            rest = 1 - weight
            zero = rest @ score / rest.sum()
            width = np.sqrt(rest @ (score - zero) ** 2 / rest.sum())
    return weight


def _probability(score: np.ndarray, control_score: np.ndarray) -> np.ndarray:
    return _mixture(score, control_score)


def _escaped(score: np.ndarray, control_score: np.ndarray) -> np.ndarray:
    return 1 - _mixture(score, control_score)


def _called(score: np.ndarray, control_score: np.ndarray) -> np.ndarray:
    return (_mixture(score, control_score) > 0.5).astype(float)


def _one_round(score: np.ndarray, control_score: np.ndarray) -> np.ndarray:
    return _mixture(score, control_score, rounds=1)


def _same_share(score: np.ndarray, control_score: np.ndarray) -> np.ndarray:
    return _mixture(score, control_score, fixed_share=True)


def _same_deviation(score: np.ndarray, control_score: np.ndarray) -> np.ndarray:
    return _mixture(score, control_score, fixed_deviation=True)


def _free_controls(score: np.ndarray, control_score: np.ndarray) -> np.ndarray:
    return _mixture(score, control_score, fixed_controls=False)


QUESTIONS = (
    Question(
        name="share_of_zeros",
        asks=Function("share_of_zeros"),
        inputs=_count_matrices,
        due=_share_of_zeros,
        mistakes=(
            Mistake("this is the share that is not zero; take it from 1", _share_of_values),
            Mistake("this is in percent; give a share from 0 to 1", _percent_of_zeros, credit=0.5),
            Mistake("this is the number of zeros; divide by the number of cells x genes", _number_of_zeros),
            Mistake("the zeros are not among the stored values (counts.data); use nnz and the shape", _stored_zeros),
        ),
    ),
    Question(
        name="expected_zeros",
        asks=Function("expected_zeros"),
        inputs=_screens,
        due=_expected_zeros,
        mistakes=(
            Mistake(
                "this takes all cells to be equally deep; give each cell its own expected count, and average exp(-it)",
                _zeros_at_one_depth,
            ),
            Mistake("these are the zeros seen; compute those expected from rate x depth", _seen_zeros),
            Mistake(
                "this is the probability of a count above zero; zeros are exp(-expected count)", _expected_non_zeros
            ),
            Mistake("this is one number a cell; average over the cells, axis 0", _zeros_of_cells),
            Mistake("this uses the sum of each row as depth; use n_umis, the whole transcriptome", _zeros_by_row_sum),
        ),
    ),
    Question(
        name="qc_mask",
        asks=Function("qc_mask"),
        inputs=_cells,
        due=_qc_mask,
        mistakes=(
            Mistake("this is True for the cells to remove; give True to those that pass", _removed),
            Mistake("depth is compared on the log scale; take np.log(n_umis) first", _mask_of(np.asarray)),
            Mistake(
                'the MAD is not scaled; use median_abs_deviation(values, scale="normal")', _mask_of(spread=_plain_mad)
            ),
            Mistake("odd cells widen a standard deviation; use the scaled MAD instead", _mask_of(spread=np.std)),
            Mistake("very deep cells pass; check log(n_umis) on both sides of the median", _mask_of(upper=False)),
            Mistake(
                "a low percent_mito is no fault; check percent_mito on its upper side only", _mask_of(lower_mito=-5)
            ),
            Mistake("a cell must pass both rules, not one of them; use & and not |", _either),
        ),
    ),
    Question(
        name="normalise",
        asks=Function("normalise"),
        inputs=_to_normalise,
        due=_normalise,
        mistakes=(
            Mistake("the logarithm comes last: scale the counts first, then log1p", _log_first),
            Mistake("this divides by the sum of the row; divide by n_umis, the whole transcriptome", _by_row_sum),
            Mistake("the logarithm is missing; end with log1p", _no_log, credit=0.5),
            Mistake("this scales to 10,000 UMIs; scale to target_sum", _to_ten_thousand),
            Mistake("this is the logarithm to base 2; log1p is the natural one", _log2),
        ),
    ),
    Question(
        name="residual_expression",
        asks=Function("residual_expression"),
        inputs=_knocked,
        due=_residuals_of(_pooled),
        mistakes=(
            Mistake(
                "this averages each cell's ratio; divide the sum of umis by the sum of n_umis",
                _residuals_of(_mean_of_ratios),
            ),
            Mistake("depth plays no part here; a rate is divided by the sum of n_umis", _residuals_of(_mean_count)),
            Mistake(
                "this compares with all cells; compare with the control cells",
                _residuals_of(_pooled, all_cells=True),
            ),
            Mistake(
                "the control guides have rows too; give rows to the target's guides only",
                _residuals_of(_pooled, controls=True),
                credit=0.5,
            ),
            Mistake("this is the share that is lost; the residual is what is left", _fall),
        ),
        comparator=Same(),
    ),
    Question(
        name="volcano_table",
        asks=Function("volcano_table"),
        inputs=_two_groups,
        due=_table_of(),
        mistakes=(
            Mistake("the fold change is upside down; divide perturbed by control", _table_of(_swapped)),
            Mistake(
                "this is a difference of logs; undo log1p with expm1, then take log2 of the ratio", _table_of(_of_logs)
            ),
            Mistake("expm1 comes after the mean: take the mean of the expression first", _table_of(_expm1_first)),
            Mistake("this is the natural logarithm of the ratio; use np.log2", _table_of(_natural_log)),
            Mistake("these p values come from a t test; use mannwhitneyu", _table_of(test=_t_test)),
            Mistake("fdr equals p; correct it with false_discovery_control", _table_of(correct=_no_correction)),
            Mistake("this is Bonferroni's correction; use false_discovery_control", _table_of(correct=_bonferroni)),
        ),
        comparator=Same(),
    ),
    Question(
        name="perturbed_probability",
        asks=Function("perturbed_probability"),
        inputs=_scores,
        due=_probability,
        mistakes=(
            Mistake("this is the probability of having escaped; give that of being perturbed", _escaped),
            Mistake("this is a yes or no for each cell; give the probability itself", _called),
            Mistake("this is the first round; repeat all three steps 100 times", _one_round),
            Mistake("the share stays at 0.5; after each round it is the mean probability", _same_share),
            Mistake(
                "the perturbed cells have the controls' deviation; estimate their own, weighted by probability",
                _same_deviation,
            ),
            Mistake("the escaped normal moves; it keeps the mean and deviation of control_score", _free_controls),
        ),
        comparator=Close(rtol=1e-3, atol=1e-4),
    ),
)
