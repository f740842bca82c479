"""The course's metrics: those of VCC 2025 with their faults mended, and what critics and other benchmarks ask for."""

import numpy as np

from starter.scoring.metrics import correlation, discrimination, energy, error, overlap
from starter.scoring.metrics.base import Metric

CELL_EVAL = "cell-eval, Arc Institute; Roohani et al. (2025), Cell 188:3370"
"""Where the 2025 rules come from."""
PERTURBENCH = "PerturBench; Wu et al. (2024), arXiv:2408.10609"
DIVERSITY = "Diversity by design; Mejia et al. (2025), arXiv:2506.22641"
SYSTEMA = "Systema; Viñas Torné et al. (2025), Nature Biotechnology"
CSENDES = "Csendes et al. (2025), BMC Genomics 26:393"
CZ = "cz-benchmarks 0.15, Chan Zuckerberg Initiative; all clear DE genes, none sampled"
ENERGY = (
    "Székely & Rizzo (2013), J. Stat. Plan. Inference 143:1249; scPerturb, Peidli et al. (2024), Nature Methods 21:531"
)
UNBOUNDED = (0.0, np.inf)
SIGNED = (-1.0, 1.0)
SHARE = (0.0, 1.0)

SCORED = (
    "overlap_at_N",
    "discrimination_score_l1",
    "mae",
    "pearson_delta",
    "pearson_delta_train_mean",
    "weighted_mse",
    "centroid_accuracy",
    "top_k_recall",
    "e_distance",
)
"""The metrics whose mean scaled value is the course's overall score; others are shown for comparison with papers."""


def course_metrics() -> tuple[Metric, ...]:
    """List the course's metrics, those that are scored first."""
    scored = (
        Metric(
            "overlap_at_N", "DES", overlap.overlap_where_de, "higher", 1.0, SHARE,
            f"{CELL_EVAL}; perturbations without a DE gene are left out", on_cells=True, skip_undefined=True,
        ),
        Metric(
            "discrimination_score_l1", "PDS", discrimination.discrimination_score_l1_midrank, "higher", 1.0, SHARE,
            f"{CELL_EVAL}; midranks and n - 1", skip_undefined=True,
        ),
        Metric("mae", "MAE", error.mae, "lower", 0.0, UNBOUNDED, CELL_EVAL),
        Metric(
            "pearson_delta", "Pearson delta", correlation.pearson_delta_or_zero, "higher", 1.0, SIGNED,
            f"{CELL_EVAL}; {CSENDES}; 0 for a constant effect",
        ),
        Metric(
            "pearson_delta_train_mean", "Pearson delta vs train mean", correlation.pearson_delta_train_mean, "higher",
            1.0, SIGNED, SYSTEMA,
        ),
        Metric("weighted_mse", "weighted MSE", error.weighted_mse, "lower", 0.0, UNBOUNDED, DIVERSITY),
        Metric(
            "centroid_accuracy", "centroid accuracy", discrimination.centroid_accuracy, "higher", 1.0, SHARE,
            f"{SYSTEMA}; {DIVERSITY}", skip_undefined=True,
        ),
        Metric(
            "top_k_recall", "top-50 recall", overlap.top_k_recall, "higher", 1.0, SHARE, f"{PERTURBENCH}; Welch's t",
            on_cells=True, skip_undefined=True,
        ),
        Metric(
            "e_distance", "E-distance", energy.e_distance, "lower", 0.0, (-np.inf, np.inf), ENERGY, on_cells=True,
            skip_undefined=True,
        ),
    )  # fmt: skip
    shown = (
        # not scored: without a lower limit, one perturbation that does nothing can outweigh all others
        Metric(
            "weighted_r2", "weighted R2 vs train mean", correlation.weighted_r2, "higher", 1.0, (-np.inf, 1.0),
            DIVERSITY,
        ),
        Metric(
            "de_count_error", "DE count error", overlap.de_count_error, "lower", 0.0, UNBOUNDED,
            "this kit; the two counts are cell-eval's de_nsig_counts", on_cells=True,
        ),
        Metric("rmse", "RMSE", error.rmse, "lower", 0.0, UNBOUNDED, PERTURBENCH),
        Metric("cosine_logfc", "cosine log fold change", correlation.cosine_logfc, "higher", 1.0, SIGNED, PERTURBENCH),
        Metric(
            "rank", "rank", discrimination.rank, "lower", 0.0, SHARE, f"{PERTURBENCH}; midranks", skip_undefined=True
        ),
        Metric(
            "masked_spearman", "masked-gene Spearman", correlation.masked_spearman, "higher", 1.0, SIGNED, CZ,
            skip_undefined=True,
        ),
    )  # fmt: skip
    return (*scored, *shown, *_csendes())


def _csendes() -> list[Metric]:
    """Pearson of profiles and of effects, on all genes or the top 20 DE genes, with and without the target."""
    genes = {"": "", "_top20_t_test": ", top 20 by t-test", "_top20_wilcoxon": ", top 20 by Wilcoxon"}
    metrics = []
    for of, title in (("pearson", "Pearson"), ("pearson_delta", "Pearson delta")):
        for suffix, which in genes.items():
            for target, how in (("", ""), ("_without_target", ", without target")):
                name = of + suffix + target
                if name != "pearson_delta":  # scored already
                    compute = getattr(correlation, name)
                    metrics.append(Metric(name, title + which + how, compute, "higher", 1.0, SIGNED, CSENDES))
    return metrics
