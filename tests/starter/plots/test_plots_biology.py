import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse.csgraph

from starter.plots import biology
from starter.plots.counts import cell_quality, count_triangles


@pytest.fixture(autouse=True)
def _close():
    mpl.use("Agg")
    yield
    plt.close("all")


def links_of(n_genes: int, *edges: tuple[int, int]) -> np.ndarray:
    links = np.zeros((n_genes, n_genes), dtype=bool)
    for a, b in edges:
        links[a, b] = links[b, a] = True
    return links


def test_triangles_are_counted_once_each():
    # a clique of four has four triangles; a chain and a square have none
    clique = [(a, b) for a in range(4) for b in range(a)]
    assert count_triangles(links_of(7, *clique, (4, 5), (5, 6))) == 4
    assert count_triangles(links_of(4, (0, 1), (1, 2), (2, 3), (3, 0))) == 0


def test_genes_of_a_group_stand_together():
    """Seven groups of unequal size without links between them, in random order; one gene has no link."""
    rng = np.random.default_rng(3)
    group = rng.permutation(np.repeat(np.arange(7), [9, 5, 12, 4, 6, 8, 3]))
    links = (group[:, None] == group) & ~np.eye(len(group), dtype=bool)
    links = np.pad(links, (0, 1))
    n_parts, part = scipy.sparse.csgraph.connected_components(links)
    order = biology.order_by_groups(links)
    assert sorted(order) == list(range(48))
    assert np.count_nonzero(np.diff(part[order])) == n_parts - 1


def test_a_random_network_has_as_many_links():
    edges = pd.DataFrame({"gene_a": ["A", "A", "B", "C"], "gene_b": ["B", "C", "C", "D"]})
    figure = biology.network_figure(edges, "four genes", np.random.default_rng(0))
    known, drawn = figure.axes
    assert known.get_title() == "known links\n4 links, 1 triangle"
    assert drawn.get_title().startswith("as many, drawn at random\n4 links")
    assert all(ax.images[0].get_array().sum() == 8 for ax in figure.axes)  # each link is drawn twice


def test_a_volcano_marks_the_target_and_survives_a_p_of_zero():
    table = pd.DataFrame(
        {"log2_fold_change": [-7.5, 0.1, 2.0], "p_value": [0.0, 0.7, 1e-8], "fdr": [0.0, 0.7, 1.5e-8]},
        index=["TARGET", "B", "C"],
    )
    ax = biology.volcano(table, "TARGET", "a screen")
    other, _, diamond = ax.collections
    assert other.get_offsets().tolist() == [[0.1, pytest.approx(-np.log10(0.7))]]
    assert [label.get_text() for label in ax.get_legend().get_texts()] == [
        "other (1 gene)",
        "fdr below 5 % (2 genes)",
        "TARGET, the target",
    ]
    assert diamond.get_offsets().tolist() == [[-5.0, pytest.approx(300)]]
    assert {text.get_text() for text in ax.texts} >= {"TARGET"}
    assert len(biology.volcano(table, "ELSEWHERE", "a screen").collections) == 2


def test_the_range_of_the_kept_cells_is_drawn_where_there_are_any():
    n_umis, percent_mito = np.array([900.0, 1_500, 2_500, 90_000]), np.array([3.0, 5, 2, 40])
    kept = np.array([True, True, True, False])
    ax = cell_quality(n_umis, percent_mito, kept, "a screen")
    assert [line.get_xdata()[0] for line in ax.lines[:2]] == [900, 2_500]
    assert ax.lines[2].get_ydata()[0] == 5
    assert cell_quality(n_umis, percent_mito, ~(kept | True), "a screen").lines[:] == []


def test_the_share_that_fell_below_half_is_written_over_each_distance():
    changes = pd.DataFrame({"distance": [0, 0, 1, 1, 1, 1], "log2_fold_change": [-3.0, -1.2, -2, 0.1, 0.3, -0.9]})
    ax = biology.along_genome(changes, "a screen")
    assert [text.get_text() for text in ax.texts] == ["100 %", "25 %"]


def test_controls_are_drawn_as_high_as_the_cells_of_the_target():
    scores = pd.DataFrame({"score": np.linspace(-1, 2, 40), "group": ["control"] * 28 + ["escaped", "perturbed"] * 6})
    figure = biology.escape_figure(scores, pd.Series({"control": 2.0, "perturbed": 0.3}), "A", "a screen")
    step = next(patch for patch in figure.axes[0].patches if not patch.get_fill())
    outline = step.get_xy()
    # the outline's area over the width of a bin, as many as the target's 12 cells
    area = np.abs(np.trapezoid(outline[:, 1], outline[:, 0])) / (3 / 49)
    assert area == pytest.approx(12, rel=1e-6)
    assert [bar.get_height() for bar in figure.axes[1].patches] == [2.0, 0.3]
    assert not biology.escape_figure(scores, pd.Series(dtype=float), "A", "a screen").axes[1].axison
