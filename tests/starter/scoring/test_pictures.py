"""The pictures of a scorecard: what they show, and where there is none."""

from dataclasses import replace

import numpy as np
import pytest

from starter.scoring import pictures
from starter.scoring.scorecard import Scorecard


def test_the_scores_are_drawn_with_their_intervals(cards: dict[str, Scorecard]):
    card = cards["half"]
    figure = pictures.scores_figure(card, "title")
    assert figure is not None
    ax = figure.axes[0]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["overall", *(metric.title for metric in card.rules.metrics if metric.name in card.rules.scored)]
    segments = [segment for lines in ax.collections for segment in lines.get_segments()]
    rows = [card.metrics[name] for name in card.rules.scored if card.metrics[name]["gradable"]]
    expected = [card.overall_interval, *((row["scaled_low"], row["scaled_high"]) for row in rows)]
    np.testing.assert_allclose([segment[:, 0] for segment in segments], np.clip(expected, -3, 3))  # edges of the figure


def test_where_nothing_is_scaled_no_scores_are_drawn(cards: dict[str, Scorecard]):
    rows = {name: row | {"scaled": None, "gradable": False} for name, row in cards["half"].metrics.items()}
    assert pictures.scores_figure(replace(cards["half"], overall=None, metrics=rows), "title") is None


def test_the_best_and_worst_are_those_that_gain_most_and_least(cards: dict[str, Scorecard]):
    """One perturbation is predicted as the baseline does in every metric, another far worse."""
    card = cards["half"]
    table = card.per_perturbation.copy()
    names = list(card.truth.perturbations)
    higher = table["metric"].map({metric.name: metric.direction == "higher" for metric in card.rules.metrics})
    for name, gain in ((names[4], 9.0), (names[7], -9.0)):
        rows = table["perturbation"] == name
        table.loc[rows, "value"] = (table["baseline"] + np.where(higher, gain, -gain))[rows]
    figure = pictures.examples_figure(replace(card, per_perturbation=table), "title")
    titles = [ax.get_title(loc="left") for ax in figure.axes[::2]]
    assert titles[0] == f"{names[4]}: best"
    assert titles[-1] == f"{names[7]}: worst"
    # the left panel: the genes of the largest measured effects, in their order
    effects = card.truth.effects()[4]
    top = np.argsort(-np.abs(effects), kind="stable")[:8]
    labels = [label.get_text().removesuffix("*") for label in figure.axes[0].get_xticklabels()]
    assert labels == list(card.truth.genes[top])
    measured = [bar.get_height() for bar in figure.axes[0].containers[0]]
    np.testing.assert_allclose(measured, effects[top], rtol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_few_perturbations_are_each_shown_once(cards: dict[str, Scorecard], n: int):
    card = cards["half"]
    rows, context = np.arange(n), next(iter(card.sides))
    table = card.per_perturbation[card.per_perturbation["perturbation"].isin(card.truth.perturbations[:n])]
    few = replace(
        card, per_perturbation=table, sides={context: (card.truth.select(rows), card.prediction.select(rows))}
    )
    titles = [ax.get_title(loc="left") for ax in pictures.examples_figure(few, "title").axes[::2]]
    assert len({title.split(":")[0] for title in titles}) == len(titles) == n
