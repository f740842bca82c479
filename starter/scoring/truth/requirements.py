"""What a truth asks of a prediction, so that a file can be checked before it is scored."""

from starter.prediction.requirements import Requirements
from starter.scoring.metrics.rule_sets import RULE_SETS
from starter.scoring.truth.opened import Truth


def requirements_of_truth(truth: Truth) -> Requirements:
    """Say what a prediction must hold to be scored against a truth.

    Of a truth of several contexts the numbers of cells and the scale, which differ from context to context, are left
    to scoring.

    Parameters
    ----------
    truth
        What `starter.scoring.truth.opened.open_truth` gave.

    Returns
    -------
    Genes and perturbations due, and the scale of the first rule set that starts from log1p expression (the course's, if
    it was prepared).
    """
    genes = tuple(truth.about["genes"])
    if len(truth.contexts) > 1:
        names = sorted({name for of_context in truth.contexts.values() for name in of_context})
        return Requirements(genes, dict.fromkeys(names), contexts=tuple(truth.contexts))
    (context,) = truth.contexts
    prepared = [rules for rules in RULE_SETS.values() if rules.name in truth.about["profiles"]]
    measured = truth.measured(prepared[0])
    n_cells = {str(name): int(n) for name, n in zip(measured.perturbations, measured.n_cells, strict=True)}
    of_logs = next((rules for rules in prepared if rules.de), None)
    if of_logs is None:
        return Requirements(genes, n_cells)
    totals, target = truth.array(of_logs, "control_totals"), truth.about["profiles"][of_logs.name]["target_sum"]
    return Requirements(genes, n_cells, totals, target[context])
