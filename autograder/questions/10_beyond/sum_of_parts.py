"""Question `sum_of_parts`: effects of doubles as sums of parts, one a gene, learned from singles and doubles."""

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.preprocessing import MultiLabelBinarizer

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT

SMALL = 1e-9
"""A penalty that is none."""


def _screens(rng: np.random.Generator) -> list[dict[str, object]]:
    """Singles, doubles of them and doubles of other genes; wanted are doubles with two, one and no known gene."""
    cases = []
    for n_genes, penalty in ((5, 1.0), (7, 0.4), (4, 2.5)):
        gene = [f"GENE{number}" for number in rng.permutation(30)[:8]]
        singles, partner, unknown = gene[:4], gene[4:6], gene[6:]
        training = [*singles, f"{singles[0]}+{singles[1]}", f"{singles[2]}+{singles[3]}", f"{singles[1]}+{singles[2]}"]
        training += [f"{partner[0]}+{singles[0]}", f"{singles[3]}+{partner[1]}"]
        training = [training[i] for i in rng.permutation(len(training))]
        part = {name: rng.normal(0.3, 1.0, n_genes) for name in gene}
        effects = np.array([sum(part[name] for name in label.split("+")) for label in training])
        effects += rng.normal(0.1, 0.3, effects.shape)
        wanted = [f"{singles[0]}+{singles[2]}", f"{partner[0]}+{unknown[0]}", f"{unknown[0]}+{unknown[1]}"]
        wanted += [f"{singles[1]}+{partner[1]}", f"{singles[3]}+{unknown[1]}"]
        wanted = [wanted[i] for i in rng.permutation(len(wanted))]
        cases.append({"training": training, "effects": effects, "wanted": wanted, "penalty": penalty})
    return cases


def _parts(training: list[str], effects: np.ndarray, penalty: float) -> dict[str, np.ndarray]:
    """Fit one part a gene."""
    genes = MultiLabelBinarizer()
    takes_part = genes.fit_transform([name.split("+") for name in training])
    fitted = Ridge(alpha=penalty, fit_intercept=False, solver="cholesky").fit(takes_part, effects)
    return dict(zip(genes.classes_, fitted.coef_.T, strict=True))


def _summed(parts: dict[str, np.ndarray], wanted: list[str], otherwise: np.ndarray) -> np.ndarray:
    return np.array([sum(parts.get(gene, otherwise) for gene in name.split("+")) for name in wanted])


def _sum_of_parts(training: list[str], effects: np.ndarray, wanted: list[str], penalty: float) -> np.ndarray:
    parts = _parts(training, effects, penalty)
    return _summed(parts, wanted, np.mean(list(parts.values()), axis=0))


def _nothing_unknown(training: list[str], effects: np.ndarray, wanted: list[str], penalty: float) -> np.ndarray:
    return _summed(_parts(training, effects, penalty), wanted, np.zeros(effects.shape[1]))


def _mean_effect(training: list[str], effects: np.ndarray, wanted: list[str], penalty: float) -> np.ndarray:
    return _summed(_parts(training, effects, penalty), wanted, effects.mean(axis=0))


def _singles_alone(training: list[str], effects: np.ndarray, wanted: list[str], penalty: float) -> np.ndarray:
    single = [row for row, name in enumerate(training) if "+" not in name]
    parts = {training[row]: effects[row] for row in single}
    return _summed(parts, wanted, effects[single].mean(axis=0))


def _no_penalty(training: list[str], effects: np.ndarray, wanted: list[str], penalty: float) -> np.ndarray:
    return _sum_of_parts(training, effects, wanted, SMALL)


def _mean_of_both(training: list[str], effects: np.ndarray, wanted: list[str], penalty: float) -> np.ndarray:
    return _sum_of_parts(training, effects, wanted, penalty) / 2


QUESTION = Question(
    name="sum_of_parts",
    asks=Function("sum_of_parts"),
    inputs=_screens,
    due=_sum_of_parts,
    hints=(
        "Give each gene a part, so that effects are sums of the parts of their genes.",
        "parts = (X'X + penalty I)^-1 X'Y, X being 1 where a gene takes part; an unknown gene adds the mean part",
        "X: training x genes perturbed; parts: genes perturbed x genes measured; a sum of two rows for each double",
    ),
    mistakes=(
        Mistake("a gene that training never perturbed adds nothing here; let it add the mean part", _nothing_unknown),
        Mistake("a gene never perturbed adds the mean effect here; let it add the mean of the parts", _mean_effect),
        Mistake("these parts come from the singles alone; doubles tell of their genes too", _singles_alone),
        Mistake("the penalty is missing: add it to the diagonal", _no_penalty),
        Mistake("this is the mean of two parts; take their sum", _mean_of_both),
    ),
    without=WITHOUT,
)
