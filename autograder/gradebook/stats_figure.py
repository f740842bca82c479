"""One figure of how a stage went: its questions, answers, points, and who handed in."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from starter.plots.style import BLUE, GREEN, GREY, ORANGE, RED, SKY

ROW, REST = 0.32, 4.0
"""Inches that a question takes, and everything else."""


def stats_figure(
    stage: str, questions: pd.DataFrame, answers: pd.DataFrame, totals: np.ndarray, edges: np.ndarray, states: pd.Series
) -> Figure:
    """Draw how a stage went.

    Parameters
    ----------
    stage
        Its name, for the title.
    questions
        A row a question, with `facility` (0 to 1), `discrimination` (-1 to 1, or NaN) and `n`.
    answers
        Questions x what is said of answers, as shares of them.
    totals
        Points of each student whose grade is settled.
    edges
        Of the bins in which they are counted.
    states
        Where each student stands.
    """
    figure = Figure(figsize=(11, REST + ROW * len(questions)), layout="constrained")
    heights = [1.4 + ROW * len(questions), REST - 1.4]
    (upper,), (lower,) = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)
    easy, telling, said = upper.subplots(1, 3, sharey=True)
    rows = np.arange(len(questions))
    easy.barh(rows, questions["facility"], color=BLUE)
    easy.set(xlim=(0, 1), xlabel="facility (mean share of the points)", yticks=rows, title="How easy was it?")
    easy.set_yticklabels([f"{name} (n = {n})" for name, n in questions["n"].items()])
    easy.invert_yaxis()
    telling.axvline(0, color=GREY, linewidth=1)
    telling.plot(questions["discrimination"], rows, "D", color=RED)
    for row in rows[questions["discrimination"].isna()]:
        telling.text(0, row, "undefined", size="small", ha="center", va="center", backgroundcolor="white")
    telling.set(
        xlim=(-1, 1), xlabel="discrimination (correlation with the rest)", title="Does it tell strong from weak?"
    )
    left = np.zeros(len(questions))
    for kind, colour in zip(answers, (GREEN, ORANGE, GREY, "black", SKY), strict=True):
        said.barh(rows, answers[kind], left=left, color=colour, label=kind)
        left += answers[kind].to_numpy()
    said.set(xlim=(0, 1), xlabel="share of the answers", title="What came?")
    upper.legend(loc="outside lower center", ncols=5, frameon=False)
    points, hand_in = lower.subplots(1, 2)
    points.hist(totals, bins=list(edges), color=BLUE)
    points.set(
        xlabel="points in all, less what is off for lateness", ylabel="students", title="Points of settled grades"
    )
    count = states.value_counts()
    hand_in.barh(list(count.index), count, color=BLUE)
    hand_in.set(xlabel="students", title="Who handed in?")
    for axes in (points.yaxis, hand_in.xaxis):
        axes.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(stage)
    return figure
