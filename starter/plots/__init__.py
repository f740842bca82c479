"""Every figure of the course, one function each.

Wherever a figure takes them, `title` says what is shown, and whether the data are simulated; `ax` says where to draw,
which by default is a new figure.
"""

from starter.plots.attention import attention_map, cell_panels, cost_curve, flow_paths, likeness_curves, loss_curves
from starter.plots.biology import (
    all_correlations,
    along_genome,
    batch_maps,
    escape_figure,
    guide_against_others,
    network_figure,
    pair_figure,
    residuals,
    volcano,
)
from starter.plots.counts import cell_quality, count_table, depth_figure, zeros_by_depth, zeros_by_mean
from starter.plots.doubles import interaction_figure, seen_curves, seen_figure
from starter.plots.effects import cells_per_perturbation, effect_scatter
from starter.plots.foundation import (
    bin_figure,
    decoder_lines,
    difference_panels,
    entropy_curves,
    flag_figure,
    masked_figure,
    quality_bars,
    token_figure,
)
from starter.plots.graphs import (
    cell_bars,
    gradient_figure,
    likeness_figure,
    loudness_figure,
    message_figure,
    similarity_curve,
)
from starter.plots.judging import (
    called_genes,
    cosine_histograms,
    coverage_curve,
    gene_by_way,
    interval_bars,
    limits_bars,
    nearest_effects,
    reference_strips,
    room_to_improve,
    scaling_curves,
    score_strips,
    trick_bars,
    ways_bars,
)
from starter.plots.latent import count_fit, draw_figure, generated_figure, kl_bars, transport_figure, weight_curves
from starter.plots.loading import (
    agreement,
    csr_figure,
    de_curve,
    error_figure,
    fold_figure,
    guide_figure,
    leak_figure,
    matched_pairs,
    order_figure,
    product_figure,
    qq_figure,
    row_figure,
    set_figure,
    speed_bars,
    tie_figure,
    two_tests,
)
from starter.plots.models import (
    correlation_histogram,
    effect_panels,
    gain_figure,
    knowledge_bars,
    setting_curves,
    study_figure,
    value_bars,
)
from starter.plots.retrieval import rank_curves, retrieval_figure
from starter.plots.schematics import central_dogma, crispr_ways, pooled_screen
from starter.plots.submission import count_figure, factor_curves, share_bars, upload_grid, weight_bars
from starter.plots.training import training_curves
from starter.plots.transfer import factor_curve, few_shot_curves, shared_gene_histograms
