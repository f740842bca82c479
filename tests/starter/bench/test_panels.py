import pandas as pd
import pytest

from starter.bench.panels import deal, panel_of, split_of
from starter.data.dataset import PAIR
from starter.errors import InputError


def pairs(n: int = 8, contexts: tuple[str, ...] = ("A",)) -> pd.MultiIndex:
    return pd.MultiIndex.from_product([contexts, [f"G{row}" for row in range(n)]], names=PAIR)


def test_panels_of_a_seed_share_no_perturbation_and_hide_all():
    panels = deal(pairs(200), hide=50, folds=4, seeds=2)
    assert [(panel.seed, panel.fold, len(panel.hidden)) for panel in panels] == [
        (seed, fold, 50) for seed in (0, 1) for fold in range(4)
    ]
    for seed in (0, 1):
        names = [name for panel in panels if panel.seed == seed for _, name in panel.hidden]
        assert sorted(names) == sorted(set(names)) == sorted(pairs(200).get_level_values(1))
    assert set(panels[0].hidden) != set(panels[4].hidden)
    assert [set(panel.hidden) for panel in deal(pairs(200), 50, 4, 2)] == [set(panel.hidden) for panel in panels]


@pytest.mark.parametrize(("n", "hidden"), [(8, 2), (150, 37), (200, 50), (1000, 50)])
def test_a_quarter_is_hidden_unless_that_is_more_than_the_challenge_hides(n: int, hidden: int):
    assert len(deal(pairs(n))[0].hidden) == hidden


def test_a_perturbation_is_hidden_in_every_context_or_in_one():
    both = pairs(8, ("A", "B"))
    everywhere = deal(both, hide=2, folds=1)[0].hidden
    assert sorted(everywhere.get_level_values(0)) == ["A", "A", "B", "B"]
    assert everywhere.get_level_values(1).nunique() == 2
    assert set(deal(both, hide=2, folds=1, context="B")[0].hidden.get_level_values(0)) == {"B"}
    with pytest.raises(InputError, match=r"nothing was perturbed in the context 'C'; the contexts are A, B"):
        deal(both, context="C")


@pytest.mark.parametrize(("hide", "folds"), [(8, 1), (3, 3), (0, 1), (2, 0)])
def test_what_cannot_be_dealt_out_is_refused(hide: int, folds: int):
    with pytest.raises(InputError, match="--hide"):
        deal(pairs(8), hide, folds)


def test_what_a_prediction_holds_is_hidden():
    panel = panel_of(pairs(3), pairs(8))
    assert list(panel.hidden) == list(pairs(3))
    with pytest.raises(InputError, match="none is left to learn from"):
        panel_of(pairs(8), pairs(8))
    with pytest.raises(InputError, match="holds G8 in the context 'A', which was not measured"):
        panel_of(pairs(9), pairs(8))


def test_a_panel_as_a_split():
    measured = pairs(8)
    panel = deal(measured, 2, 1)[0]
    split = split_of(panel, pd.Series(range(8), measured))
    assert set(split.pairs("hidden")) == set(panel.hidden)
    assert set(split.pairs("train")) == set(measured) - set(panel.hidden)
    assert split.table["n_cells"].to_dict() == dict(zip(measured, range(8), strict=True))
