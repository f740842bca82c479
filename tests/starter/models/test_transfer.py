"""Effects carried from context to context, by hand."""

import numpy as np
import pandas as pd
import pytest

from starter.data.dataset import PAIR
from starter.errors import InputError
from starter.models import transfer
from starter.models.contract import predict
from starter.models.training_data import TrainingData
from starter.schema import CONTROL

GENES = ["g", "h"]


def data_of(rows: dict[tuple[str, str], list[float]], elsewhere: pd.DataFrame | None = None) -> TrainingData:
    index = pd.MultiIndex.from_tuples(list(rows), names=PAIR)
    table = pd.DataFrame(list(rows.values()), index, GENES)
    return TrainingData(table, pd.Series(50, index), elsewhere=elsewhere)


OLD = {("old", CONTROL): [1.0, 1.0], ("old", "V"): [3.0, 1.0], ("old", "W"): [1.0, 3.0]}
"""Effects (2, 0) and (0, 2): mean (1, 1), deviations (1, -1) and (-1, 1)."""


def ask(contract: transfer.Contract, data: TrainingData, *pairs: tuple[str, str]) -> list[list[float]]:
    index = pd.MultiIndex.from_tuples(pairs, names=PAIR)
    return predict(contract, contract.fit(data), index, GENES).to_numpy().round(12).tolist()


def test_zero_shot_carries_the_effect_over_as_it_is():
    data = data_of({**OLD, ("new", CONTROL): [5.0, 6.0]})
    assert ask(transfer.same_target(), data, ("new", "V"), ("new", "W")) == [[7.0, 6.0], [5.0, 8.0]]
    # a target that was measured nowhere has the mean effect of the other context
    assert ask(transfer.same_target(), data, ("new", "unheard of")) == [[6.0, 7.0]]


def test_what_is_known_from_elsewhere_counts_as_a_context():
    index = pd.MultiIndex.from_tuples(list(OLD), names=PAIR)
    elsewhere = pd.DataFrame(list(OLD.values()), index, GENES)
    data = data_of({("new", CONTROL): [5.0, 6.0]}, elsewhere)
    assert ask(transfer.same_target(), data, ("new", "V")) == [[7.0, 6.0]]


def test_a_gene_that_was_not_measured_elsewhere_does_not_change():
    index = pd.MultiIndex.from_tuples(list(OLD), names=PAIR)
    elsewhere = pd.DataFrame(list(OLD.values()), index, GENES).assign(h=np.nan)
    data = data_of({("new", CONTROL): [5.0, 6.0]}, elsewhere)
    assert ask(transfer.same_target(), data, ("new", "V")) == [[7.0, 6.0]]  # mean effect (1, 0), deviation (1, 0)


def test_few_shot_learns_which_share_carries_over():
    # in the new context, deviations are half of those in the old one, about a mean effect of (-1, 0)
    new = {("new", CONTROL): [5.0, 6.0], ("new", "V"): [4.5, 5.5], ("new", "W"): [3.5, 6.5]}
    lines = transfer.lines_of(data_of({**OLD, **new}))
    assert transfer.share_carried(lines, "new") == pytest.approx(0.5)
    # the other way round the least-squares share is 2, and no more than all carries over
    assert transfer.share_carried(lines, "old") == 1.0
    # a third context, in which nothing was perturbed, takes the mean share
    assert transfer.share_carried(lines, "third") == pytest.approx(0.75)


def test_the_mean_effect_is_drawn_to_the_others_by_its_error():
    new = {("new", CONTROL): [5.0, 6.0], ("new", "V"): [4.5, 5.5], ("new", "W"): [3.5, 6.5]}
    lines = transfer.lines_of(data_of({**OLD, **new}))
    # deviations +-1 and +-.5 of both genes: squares 2 + .5 of each gene, over 4 effects less 2 means: v = 1.25
    # own mean (-1, 0), other (1, 1): mean squared distance (4 + 1) / 2 = 2.5; kept 1 - 1.25 / (2 x 2.5) = .75
    np.testing.assert_allclose(transfer.mean_effect(lines, "new"), [-0.5, 0.25])
    np.testing.assert_allclose(transfer.mean_effect(lines, "third"), [0.0, 0.5])


def test_ridge_over_lines_equals_scikit_learn_on_all_pairs():
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    names = [f"T{i}" for i in range(12)]
    features = pd.DataFrame(rng.normal(size=(13, 3)), index=[*names, "new target"])
    rows = {(line, CONTROL): [8.0, 9.0] for line in ("one", "two", "three")}
    for line, some in (("one", names[:8]), ("two", names[3:])):
        rows |= {(line, name): (9 + rng.normal(size=2)).tolist() for name in some}
    data = data_of(rows)
    data = TrainingData(data.profiles, data.n_cells, features={"made up": features})
    centred = features - features.mean()  # as one table side by side: centred, and every row to length 1
    x = centred.div(np.linalg.norm(centred, axis=1), axis=0)
    effects = data.effects
    deviations = effects - effects.groupby(level="context").transform("mean")
    model = Ridge(alpha=1.0).fit(x.loc[effects.index.get_level_values("perturbation")], deviations)
    due = (
        np.array([8.0, 9.0]) + effects.groupby(level="context").mean().mean() + model.predict(x.loc[["new target"]])[0]
    )
    came = ask(transfer.ridge_over_lines(), data, ("three", "new target"))
    np.testing.assert_allclose(came, [due], atol=1e-9)


def test_what_cannot_be_answered_is_refused():
    data = data_of(OLD)
    with pytest.raises(InputError, match="needs the control cells of every context .* none of moon"):
        ask(transfer.same_target(), data, ("moon", "V"))
    with pytest.raises(InputError, match="no perturbation to learn from in any context"):
        transfer.same_target().fit(data_of({("old", CONTROL): [1.0, 1.0]}))
    with pytest.raises(InputError, match="needs features of genes, and none are known"):
        transfer.ridge_over_lines().fit(data)
