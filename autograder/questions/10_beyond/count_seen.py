"""Question `count_seen`: how many genes of a double training has perturbed, alone or with others."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _names(rng: np.random.Generator) -> list[dict[str, object]]:
    """Doubles with none, one and both genes seen; some genes were seen in doubles alone, some names begin alike."""
    cases = []
    for n_singles in (4, 3, 5):
        gene = [f"KLF{i}" for i in rng.permutation(np.arange(1, 10))]
        longer = [f"{name}{rng.integers(10)}" for name in gene]  # KLF1 is in KLF10
        alone, *singles = gene[:n_singles]
        partner, unseen = gene[n_singles : n_singles + 2], gene[n_singles + 2 :]
        training = [alone, *singles, *(f"{name}+{rng.choice(singles)}" for name in partner)]
        doubles = [
            f"{alone}+{singles[0]}",
            f"{partner[0]}+{unseen[0]}",
            f"{longer[0]}+{longer[1]}",
            f"{longer[2]}+{alone}",
            f"{singles[1]}+{partner[1]}",
            f"{unseen[1]}+{unseen[0]}",
            f"{rng.choice(singles)}+{unseen[1]}",
        ]
        doubles += ["+".join(rng.choice([*gene, *longer], 2, replace=False)) for _ in range(8)]
        names = {"doubles": doubles, "training": training}
        cases.append({key: [labels[i] for i in rng.permutation(len(labels))] for key, labels in names.items()})
    return cases


def _counted(doubles: list[str], seen: set[str]) -> np.ndarray:
    found = []
    for double in doubles:
        first, _, second = double.partition("+")
        found.append(int(first in seen) + int(second in seen))
    return np.array(found)


def _count_seen(doubles: list[str], training: list[str]) -> np.ndarray:
    return _counted(doubles, set("+".join(training).split("+")))


def _singles_alone(doubles: list[str], training: list[str]) -> np.ndarray:
    return _counted(doubles, {name for name in training if "+" not in name})


def _doubles_alone(doubles: list[str], training: list[str]) -> np.ndarray:
    return _counted(doubles, set("+".join(name for name in training if "+" in name).split("+")))


def _parts_of_names(doubles: list[str], training: list[str]) -> np.ndarray:
    genes = set("+".join(training).split("+"))
    return np.array([sum(any(gene in own for gene in genes) for own in double.split("+")) for double in doubles])


def _unseen(doubles: list[str], training: list[str]) -> np.ndarray:
    return 2 - _count_seen(doubles, training)


QUESTION = Question(
    name="count_seen",
    asks=Function("count_seen"),
    inputs=_names,
    due=_count_seen,
    hints=(
        "A gene was seen if training perturbed it, alone or together with another.",
        "seen = all genes between the '+' of training's names; count them in each double",
        "a set of genes; one number per double: 0, 1 or 2",
    ),
    mistakes=(
        Mistake(
            "genes that were perturbed together with another were seen too; split the training names", _singles_alone
        ),
        Mistake("genes that were perturbed alone were seen too", _doubles_alone),
        Mistake("one name may be part of another, as KLF1 of KLF10; compare whole genes", _parts_of_names),
        Mistake("these are the genes that were not seen; count those that were", _unseen),
        Mistake(
            "this says whether both were seen; count them: 0, 1 or 2",
            lambda doubles, training: _count_seen(doubles, training) // 2,
        ),
    ),
    without=WITHOUT,
)
