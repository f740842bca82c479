"""Score a prediction from Python: a file, a Zarr store, or cells in memory."""

from dataclasses import replace
from pathlib import Path

import anndata

from starter.scoring.history import count_look
from starter.scoring.scorecard import Scorecard, score_prediction
from starter.scoring.truth.opened import Truth, open_truth


def score(
    prediction: anndata.AnnData | str | Path, truth: Truth | str | Path, rules: str, name: str | None = None
) -> Scorecard:
    """Score a prediction, and count the look at the truth.

    Parameters
    ----------
    prediction
        Cells x genes with `obs.target_gene`: an AnnData object in memory, or the path of an `.h5ad`, a Zarr store or a
        `.vcc`, whose values are read in blocks.
    truth
        The folder that `starter truth build` wrote, or what `starter.scoring.truth.opened.open_truth` gave of it.
    rules
        The rule set: course, vcc2025, vcc2025-final or vcc2026.
    name
        What to call the prediction; default: its file's name, or "prediction".

    Returns
    -------
    The scorecard. `table` has a row a metric, `per_perturbation` one for each perturbation and metric; its last note
    says the how-manieth look at this truth it was. `starter.scoring.page.write_scorecard` writes it to a folder.

    Raises
    ------
    InputError
        If the prediction does not hold exactly the truth's genes, contexts and perturbations, or is on another scale;
        if the truth was not prepared for these rules.
    """
    opened = truth if isinstance(truth, Truth) else open_truth(truth)
    card = score_prediction(prediction, opened, rules, name=name)
    return replace(card, notes=[*card.notes, count_look(opened.folder, card)])
