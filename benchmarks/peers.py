"""`python -m benchmarks.peers`: other scorers, and rank-sum tests, each to be run in a process of its own."""

import dataclasses
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import anndata
import h5py
import numpy as np
import pandas as pd
import typer

from starter.console import run
from starter.data.h5ad import read_frame
from starter.schema import CONTROL, TARGET_GENE

SCORES, TEST = "scores.json", "test.npz"
"""What a scorer and a test leave in their folder."""
REPEATS, PATIENCE = 3, 20.0
"""How often a test is timed, and after how many seconds no further time."""
SCALED = "scaled"
"""Marks a metric's place between baseline and replicate."""
REAL_DE = "real_de.csv"
"""cell-eval's name of its table of the screen."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)
Real = Annotated[Path, typer.Argument(help="The screen, .h5ad.")]
Prediction = Annotated[Path, typer.Argument(help="The prediction, .h5ad.")]
Out = Annotated[Path, typer.Option(help="Receives the scores.")]


@app.command("cell-eval")
def cell_eval(
    real: Real,
    prediction: Prediction,
    out: Out,
    de_real: Annotated[Path | None, typer.Option(help="The screen's DE table, of an earlier run.")] = None,
) -> None:
    """Score by cell-eval, profile vcc."""
    from cell_eval import MetricsEvaluator

    evaluator = MetricsEvaluator(
        str(prediction),
        str(real),
        de_real=None if de_real is None else str(de_real),
        control_pert=CONTROL,
        pert_col=TARGET_GENE,
        outdir=str(out),
    )
    results, _ = evaluator.compute(profile="vcc", break_on_error=True)
    _write(out, results.drop("perturbation").mean().row(0, named=True))


@app.command("cell-eval2")
def cell_eval2(
    real: Real,
    prediction: Prediction,
    out: Out,
    cache: Annotated[Path | None, typer.Option(help="Keeps, or has, what depends on the screen only.")] = None,
    *,
    score: Annotated[bool, typer.Option("--score", help="Also its baseline, its replicate and the score.")] = False,
) -> None:
    """Compute the metrics by cell-eval2, preset vcc2026; the prediction needs control cells."""
    from cell_eval2 import EvalConfig, aggregate_metrics, aggregate_metrics_wide, compute_metrics, score_metrics
    from cell_eval2.baseline import build_baseline_prediction, build_run_meta, generic_response_profile
    from cell_eval2.real_bundle import build_real_bundle
    from cell_eval2.run import metric_output_names

    config = EvalConfig.from_preset("vcc2026")
    config = dataclasses.replace(
        config,
        pert_col=TARGET_GENE,
        control=CONTROL,
        device="cpu",
        de=dataclasses.replace(config.de, backend="pdex"),
        cache_real=None if cache is None else str(cache),
    )
    results = compute_metrics(prediction, real, config=config)
    aggregate = aggregate_metrics(results)
    scores = dict(zip(aggregate["metric"], aggregate["mean"], strict=True))
    if score:
        measured, predicted = anndata.read_h5ad(real), anndata.read_h5ad(prediction)
        profile = generic_response_profile(measured, pert_col=TARGET_GENE, control=CONTROL)
        baseline = build_baseline_prediction(profile, measured, pert_col=TARGET_GENE, control=CONTROL)
        with tempfile.TemporaryDirectory(dir=out.parent) as folder:
            bundle = Path(folder) / "bundle"
            build_real_bundle(measured, baseline, config=config, outdir=bundle, bundle_id="benchmark")
            table = score_metrics(
                aggregate_metrics_wide(results, metrics=metric_output_names(config)),
                real_bundle=bundle,
                user_meta=build_run_meta(config, measured, predicted),
            )
        scores |= {
            f"{name}, {SCALED}": value for name, value in zip(table["metric"], table["from_replicate"], strict=True)
        }
    _write(out, scores)


@app.command("ours-2026")
def ours_2026(real: Real, prediction: Prediction, out: Out) -> None:
    """Compute the six metrics of 2026 from both files by our engine, without the baseline and the replicate."""
    from starter.data.scan import tidied
    from starter.scoring.metrics.rule_sets import get_rule_set, score_perturbations
    from starter.scoring.screens.from_counts import summarise_counts
    from starter.scoring.screens.opened import open_screen

    rules = get_rule_set("vcc2026")
    with open_screen(real) as measured, open_screen(prediction, controls=False) as predicted:
        names = np.unique(measured.labels[measured.labels != CONTROL])
        sides, controls = [], None
        for side in (measured, predicted):
            groups = pd.Categorical(side.labels, [CONTROL, *names]).codes.astype(np.int64)
            if side is predicted:
                groups[groups == 0] = -1
            cells, scan = tidied(side.cells, groups >= 0)
            reduced = summarise_counts(
                cells,
                groups[None],
                names,
                side.genes,
                scan.totals,
                controls,
                known=scan,
                keep_controls=side is measured,
            )
            controls = reduced.controls
            sides += reduced.summaries
        values = score_perturbations(rules, *sides)
    _write(out, {metric.name: float(metric.mean(values[metric.name])) for metric in rules.metrics})


@app.command("rank-sum")
def rank_sum(
    real: Real,
    out: Out,
    tool: Annotated[str, typer.Option(help="ours, scanpy or illico; streamed: ours or crispyx.")],
    *,
    streamed: Annotated[bool, typer.Option("--streamed", help="From the file, bit by bit, reading counted.")] = False,
) -> None:
    """Time the rank-sum test of every perturbation and gene, without compiling; best of three.

    Cells in memory are tested without reading the file.
    """
    out.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if streamed:
            screen, few, test = real, _few_cells(real, out), STREAMED[tool]
        else:
            screen, test = anndata.read_h5ad(real), TESTS[tool]
            few = _take_few(screen)
        test(few)
        seconds, cpu = [], []
        while len(seconds) < REPEATS and sum(seconds) < PATIENCE:
            start, used = time.monotonic(), time.process_time()
            arrays = test(screen)
            seconds.append(time.monotonic() - start)
            cpu.append(time.process_time() - used)
    np.savez(out / TEST, seconds=min(seconds), cpu=min(cpu), **arrays)


def _take_few(screen: anndata.AnnData) -> anndata.AnnData:
    """Take a few cells and genes, to compile on."""
    few = [CONTROL, *_perturbations(screen.obs)[:2]]
    return screen[screen.obs[TARGET_GENE].isin(few), :200].copy()


def _few_cells(real: Path, out: Path) -> Path:
    """Write a few cells and genes, in a process of its own: this one's memory is measured."""
    path = out / "few.h5ad"
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(_write_few, real, path).result()
    return path


def _write_few(real: Path, path: Path) -> None:
    _take_few(anndata.read_h5ad(real)).write_h5ad(path)


def _ours(screen: anndata.AnnData) -> dict[str, np.ndarray]:
    names = _perturbations(screen.obs)
    return _ranked(screen.X, screen.obs[TARGET_GENE], names)


def _ours_streamed(real: Path) -> dict[str, np.ndarray]:
    from starter.scoring.screens.opened import open_screen

    with open_screen(real) as screen:
        return _ranked(screen.cells, screen.obs[TARGET_GENE], _perturbations(screen.obs))


def _ranked(cells: Any, labels: pd.Series, names: list[str]) -> dict[str, np.ndarray]:
    from starter.statistics import ranksum

    groups = pd.Categorical(labels, [CONTROL, *names]).codes
    result = ranksum.rank_sum(cells, groups.astype(np.int64), len(names) + 1)
    # scanpy has no continuity correction: compared by z without it
    n1, n2 = result.n_cells[:, None].astype(float), float(result.n_control)
    n = n1 + n2
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (result.u - n1 * n2 / 2) / np.sqrt(n1 * n2 / 12 * (n + 1 - result.ties / (n * (n - 1))))
    return {"p": ranksum.p_values(result), "z": np.nan_to_num(z)}


def _crispyx(real: Path) -> dict[str, np.ndarray]:
    from crispyx.de import wilcoxon_test

    with tempfile.TemporaryDirectory(dir=real.parent) as folder:
        result = wilcoxon_test(
            real,
            perturbation_column=TARGET_GENE,
            control_label=CONTROL,
            min_pct_ctrl=0,  # every gene is tested, as the others do
            min_pct_pert=0,
            min_mean_ctrl=0,
            min_mean_pert=0,
            output_path=Path(folder) / "tested.h5ad",
            verbose=False,
        )
        with h5py.File(result.result_path) as file:
            names = read_frame(file, "obs")[TARGET_GENE].astype(str).tolist()
            z = file["layers/z_score"][:]
    return {"z": np.nan_to_num(z[np.argsort(names)])}


def _scanpy(screen: anndata.AnnData) -> dict[str, np.ndarray]:
    import scanpy

    names = _perturbations(screen.obs)
    scanpy.tl.rank_genes_groups(
        screen, TARGET_GENE, groups=names, reference=CONTROL, method="wilcoxon", tie_correct=True
    )
    ranked = screen.uns["rank_genes_groups"]
    z = [pd.Series(ranked["scores"][name], ranked["names"][name]).loc[screen.var_names] for name in names]
    return {"z": np.nan_to_num(np.stack(z))}


def _illico(screen: anndata.AnnData) -> dict[str, np.ndarray]:
    from illico import asymptotic_wilcoxon
    from numba import config

    table = asymptotic_wilcoxon(
        screen, is_log1p=True, group_keys=TARGET_GENE, reference=CONTROL, n_threads=config.NUMBA_NUM_THREADS
    )
    names = _perturbations(screen.obs)
    return {"p": np.stack([table["p_value"].loc[name].loc[screen.var_names] for name in names])}


STREAMED: dict[str, Callable[[Path], dict[str, np.ndarray]]] = {"ours": _ours_streamed, "crispyx": _crispyx}
"""The same from a file that is not brought into memory."""
TESTS: dict[str, Callable[[anndata.AnnData], dict[str, np.ndarray]]] = {
    "ours": _ours,
    "scanpy": _scanpy,
    "illico": _illico,
}
"""Each gives perturbations x genes: p, or z without continuity correction. Where U is exactly its mean, illico's p is
just below 1; pdex and SciPy have 1 there, and so have we."""


def _perturbations(obs: pd.DataFrame) -> list[str]:
    return sorted(set(obs[TARGET_GENE].astype(str)) - {CONTROL})


def _write(out: Path, scores: dict[str, float]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / SCORES).write_text(json.dumps(scores), encoding="utf-8")


if __name__ == "__main__":
    run(app)
