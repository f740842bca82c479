"""Log1p expression told from what is taken for it, in control cells and in perturbed cells."""

import re
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter.data.blocks import in_memory
from starter.data.judged import judge_logs, seen
from starter.data.scan import scan_cells
from starter.data.transforms import LOG1P, LOG2, NO_MULTIPLES, UNDECIDED, transform_of
from starter.errors import Finding, InputError
from starter.schema import CONTROL
from starter.scoring.truth.build import build_truth

RNG = np.random.default_rng(5)
RATE = RNG.gamma(1.0, 1.0, 2_000)
COUNTS = RNG.poisson(RNG.lognormal(np.log(900), 0.3, 90)[:, None] * RATE / RATE.sum()).astype(np.float64)
LABELS = np.repeat([CONTROL, "A", "B"], 30)
TOTALS = COUNTS.sum(axis=1)
SCALED = COUNTS * (np.median(TOTALS) / TOTALS)[:, None]
"""Values stay below 15 in most cells, as in a shallow screen."""
LOGS = np.log1p(SCALED)


def judged(x: np.ndarray, labels: np.ndarray = LABELS, *, measured: bool = True) -> list[Finding]:
    everything = np.ones(len(x), bool)
    scan = scan_cells(in_memory(scipy.sparse.csr_matrix(x.astype(np.float32))), everything, everything)
    assert scan.fractional
    return judge_logs(scan, labels == CONTROL, labels, measured=measured)


def corrected(counts: np.ndarray) -> np.ndarray:
    """Take a share of every count away, as ambient RNA is taken away."""
    return counts * (1 - np.random.default_rng(0).uniform(0.02, 0.3, counts.shape))


def z_scores(logs: np.ndarray) -> np.ndarray:
    spread = logs.std(axis=0)
    return np.clip((logs - logs.mean(axis=0)) / np.where(spread > 0, spread, 1), 0, 5)


OTHERS = {
    "log2(1 + x) in place of log1p": np.log2(1 + SCALED),
    "log10(1 + x) in place of log1p": np.log10(1 + SCALED),
    "scaled counts (such as counts per 10,000) that were not logged": SCALED,
    "square roots in place of log1p": np.sqrt(SCALED),
    "log1p taken twice": np.log1p(LOGS),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_transform_shows_in_the_values(what: str):
    control, perturbed = judged(OTHERS[what])
    assert (control.level, control.what) == ("error", f"30 of 30 control cells looked at hold {what}")
    assert perturbed.what == f"60 of 60 perturbed cells looked at hold {what}"
    only_b = np.where((LABELS == "B")[:, None], OTHERS[what], LOGS)
    (finding,) = judged(only_b, measured=False)
    assert finding.what == f"30 of 60 perturbed cells looked at hold {what} (B)"


def test_the_way_out_of_another_transform_gives_log1p():
    np.testing.assert_allclose(np.log2(1 + SCALED) * np.log(2), LOGS)
    np.testing.assert_allclose(np.log10(1 + SCALED) * np.log(10), LOGS)
    sparse = scipy.sparse.csr_matrix(np.sqrt(SCALED))
    np.testing.assert_allclose(sparse.power(2).log1p().toarray(), LOGS)
    np.testing.assert_allclose(scipy.sparse.csr_matrix(np.log1p(LOGS)).expm1().toarray(), LOGS)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (
            corrected(COUNTS),
            "no cell's values are multiples of a count; such are corrected counts that were not logged",
        ),
        (z_scores(LOGS), "such are clipped z-scores or clipped counts"),
        (np.minimum(corrected(8 * COUNTS), 14), "such are clipped z-scores or clipped counts"),
    ],
)
def test_measured_fractions_below_15_are_not_log1p_for_that(x: np.ndarray, said: str):
    findings = judged(x)
    assert [finding.level for finding in findings] == ["error", "error"]
    assert findings[0].what.startswith("the 30 control cells looked at are no log1p expression: ")
    assert said in findings[0].what


def smooth(x: np.ndarray) -> np.ndarray:
    return x * np.random.default_rng(1).uniform(0.5, 1.5, x.shape)


def test_what_is_no_multiple_is_judged_by_what_it_adds_up_to():
    to_one = smooth(SCALED) / smooth(SCALED).sum(axis=1, keepdims=True) * 1000
    for x, said in (
        (to_one, "add up to 1,000 each as they stand, so they hold scaled counts"),
        (np.log2(1 + to_one), "add up to 1,000 each after 2^x - 1, so they hold log2"),
    ):
        assert said in judged(x)[0].what
    assert judged(np.log1p(to_one)) == []


def test_counts_among_logs_are_found_in_single_cells():
    x = LOGS.copy()
    x[[40, 80]] = COUNTS[[40, 80]]
    (finding,) = judged(x, measured=False)
    assert finding.what == (
        "2 cells hold whole numbers and 88 cells fractions, so counts and logs are mixed; the whole ones are of A, B"
    )


def test_perturbed_cells_are_compared_with_the_controls():
    perturbed = (LABELS != CONTROL)[:, None]
    (error,) = judged(np.where(perturbed, np.minimum(corrected(8 * COUNTS), 14), LOGS), measured=False)
    assert error.level == "error"
    assert error.what.startswith("cells of 2 perturbations (")
    assert "times as much as control cells (" in error.what
    (warning,) = judged(np.where(perturbed, corrected(COUNTS), LOGS), measured=False)
    assert warning.level == "warning"
    assert "may not be" in warning.what


@pytest.mark.parametrize(
    "predicted",
    [
        np.tile(LOGS.mean(axis=0), (90, 1)),
        np.maximum(LOGS.mean(axis=0) + np.random.default_rng(0).normal(0, 0.1, LOGS.shape), 0),
        np.log1p(smooth(SCALED)),
        LOGS * 0.95,
        np.log1p(2 * SCALED),
    ],
)
def test_predictions_of_expression_are_no_fault(predicted: np.ndarray):
    assert judged(np.where((LABELS == CONTROL)[:, None], LOGS, predicted), measured=False) == []


def test_a_cell_by_hand():
    counts = np.array([0, 1, 1, 2, 7], np.float32)
    assert transform_of(np.log1p(counts * np.float32(0.37))) == LOG1P
    assert transform_of(np.log2(1 + counts * np.float32(0.37))) == LOG2
    assert transform_of(np.array([0.3, 0.5, 0.77], np.float32)) == NO_MULTIPLES
    assert transform_of(np.array([0.3, 0.3, 0.3, 0.3], np.float32)) == UNDECIDED
    assert transform_of(np.array([0.3, 0.6], np.float32)) == UNDECIDED
    assert transform_of(np.array([-0.3, 0.6, 0.9], np.float32)) == NO_MULTIPLES


def test_what_was_seen_is_said():
    everything = np.ones(90, bool)
    scan = scan_cells(in_memory(scipy.sparse.csr_matrix(LOGS.astype(np.float32))), everything, LABELS == CONTROL)
    zeros = (LOGS == 0).mean()
    between = rf"{int(np.median(TOTALS)):,}( to [\d,]+)?"
    assert re.fullmatch(
        f"30 cells looked at add up to {between} on the natural scale, largest value {LOGS.max():.3g}, {zeros:.0%} z.*",
        seen(scan),
    )


REAL = {
    "papalexi": ("papalexi_thp1/papalexi_thp1_299genes.h5ad", None, "n_umis_total", "target_gene"),
    "norman": ("perturbench_mini/norman_k562_mini_500hvg.h5ad", "counts_recovered", "ncounts", "perturbation"),
    "jurkat": ("scperturb_jurkat_scifi/jurkat_scifi_7500x2000.h5ad", None, "ncounts", "perturbation"),
}


@pytest.mark.parametrize("name", REAL)
def test_real_panels_are_log1p_and_their_other_transforms_are_not(vcc_data: Path, name: str):
    path, layer, total, column = REAL[name]
    adata = anndata.read_h5ad(vcc_data / path)
    labels = adata.obs[column].astype(str).replace("control", CONTROL).to_numpy(str)
    rows = np.sort(np.random.default_rng(0).permutation(adata.n_obs)[:1500])
    counts = scipy.sparse.csr_matrix(adata.layers[layer] if layer else adata.X)[rows].toarray().astype(float)
    n = adata.obs[total].to_numpy(float)[rows]
    for target in (np.median(n), 1e4):
        scaled = counts * (target / n)[:, None]
        assert judged(np.log1p(scaled), labels[rows]) == []
        for x in (np.log2(1 + scaled), np.log10(1 + scaled), np.log1p(np.log1p(scaled)), z_scores(np.log1p(scaled))):
            assert judged(x, labels[rows])[0].level == "error"


def screen(x: np.ndarray, **parts: object) -> anndata.AnnData:
    obs = pd.DataFrame({"target_gene": pd.Categorical(LABELS)}, index=[f"c{i}" for i in range(90)])
    var = pd.DataFrame(index=["A", "B", *(f"G{i}" for i in range(2, 2_000))])
    return anndata.AnnData(scipy.sparse.csr_matrix(x.astype(np.float32)), obs, var, **parts)


def with_raw(x: np.ndarray) -> anndata.AnnData:
    adata = screen(x)
    adata.raw = screen(COUNTS)
    return adata


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: screen(corrected(COUNTS)), "corrected counts that were not logged; .* write log1p of counts scaled"),
        (
            lambda: screen(z_scores(LOGS), layers={"counts": scipy.sparse.csr_matrix(COUNTS), "x": LOGS}),
            r"z-scores.*; layers\['counts'\] holds whole numbers, as counts are: adata.X = adata.layers\['counts'\]$",
        ),
        (
            lambda: with_raw(np.log2(1 + SCALED)),
            r"log2.*; raw holds whole numbers.*: adata = adata.raw.to_adata",
        ),
        (lambda: screen(np.log10(1 + SCALED)), r"hold log10.* place of log1p; adata.X = adata.X \* numpy.log\(10\)"),
        (lambda: screen(LOGS - LOGS.mean(axis=0)), "look scaled to zero mean"),
        (
            lambda: screen(40 * SCALED),
            "values up to .*, so it is no log1p expression: .* scaled counts .*; scanpy.pp.log1p",
        ),
    ],
)
def test_a_truth_of_anything_else_is_refused_with_the_way_out(tmp_path: Path, make: Callable, said: str):
    make().write_h5ad(tmp_path / "real.h5ad")
    with pytest.raises(InputError, match=said):
        build_truth(tmp_path / "real.h5ad", tmp_path / "truth", rule_set="vcc2025")
    assert not (tmp_path / "truth").exists()
