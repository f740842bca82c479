"""Notebook 03: the four scores of the challenge, how sure they are, and what gives a trick away."""

from . import bootstrap_interval, des, dynamic_range, mae, pds, pearson_delta, shifted_cells, spread_ratio

QUESTIONS = (
    mae.QUESTION,
    pearson_delta.QUESTION,
    pds.QUESTION,
    des.QUESTION,
    shifted_cells.QUESTION,
    bootstrap_interval.QUESTION,
    dynamic_range.QUESTION,
    spread_ratio.QUESTION,
)
