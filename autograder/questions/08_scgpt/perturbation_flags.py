"""Question `perturbation_flags`: which genes each perturbation switches off."""

import numpy as np
import pandas as pd

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function
from starter.schema import CONTROL

from .shared import WITHOUT


def _perturbed(rng: np.random.Generator) -> list[dict[str, object]]:
    """Make the first gene a target; names begin like others; there are a double, the control, a gene not measured."""
    cases = []
    for n_genes, extra in ((9, 2), (13, 3), (7, 1)):
        genes = [f"ABC{number}" for number in rng.permutation(np.arange(1, 20))[: n_genes - 2]]
        genes = [genes[0], *rng.permutation([*genes[1:], "XY1", "XY12"]).tolist()]
        singles = [genes[0], "XY12", *rng.choice(genes[1:], extra, replace=False).tolist()]
        targets = [*singles, f"{genes[0]}+{genes[-1]}", CONTROL, "NOTMEASURED"]
        cases.append({"genes": [str(g) for g in genes], "targets": [str(t) for t in rng.permutation(targets)]})
    return cases


def _flags(genes: list[str], targets: list[str]) -> np.ndarray:
    table = pd.Series(list(targets)).str.get_dummies("+").reindex(columns=list(genes), fill_value=0)
    return table.to_numpy(np.int64)


def _sign_of_index(genes: list[str], targets: list[str]) -> np.ndarray:
    flags = _flags(genes, targets)
    flags[:, 0] = 0
    return flags


def _no_doubles(genes: list[str], targets: list[str]) -> np.ndarray:
    return np.array([[int(gene == target) for gene in genes] for target in targets])


def _substring(genes: list[str], targets: list[str]) -> np.ndarray:
    return np.array([[int(gene in target) for gene in genes] for target in targets])


def _without_control(genes: list[str], targets: list[str]) -> np.ndarray:
    return _flags(genes, [target for target in targets if target != CONTROL])


def _place_as_flag(genes: list[str], targets: list[str]) -> np.ndarray:
    return _flags(genes, targets) * np.arange(len(genes))


QUESTION = Question(
    name="perturbation_flags",
    asks=Function("perturbation_flags"),
    inputs=_perturbed,
    due=_flags,
    hints=(
        "The model is told by a 1 which gene was switched off; a double has two.",
        "flag = 1 if the gene is one of the names between the '+', else 0",
        "a row per target, a column per gene; the control's row is all 0",
    ),
    mistakes=(
        Mistake("the first gene has no flag: its index is 0, and so is the sign of 0", _sign_of_index),
        Mistake("of 'A+B' both genes are perturbed; split the name at '+'", _no_doubles),
        Mistake("names are compared in part; 'XY1' is not 'XY12'", _substring),
        Mistake("the control needs a row as well, without a flag", _without_control),
        Mistake("the flag is 1 for every perturbed gene, not the gene's place", _place_as_flag),
        Mistake(
            "rows and columns are swapped: a row is a target, a column a gene",
            lambda genes, targets: _flags(genes, targets).T,
        ),
    ),
    without=WITHOUT,
)
