"""What a network is told of a perturbation."""

import numpy as np
import pandas as pd
import pytest

from starter.priors.conditions import LENGTH, PERTURBED, conditions, side_by_side
from starter.schema import CONTROL

RNG = np.random.default_rng(8)
SHORT = pd.DataFrame(RNG.normal(0.5, 1, (5, 3)), index=list("ABCDX"))
LONG = pd.DataFrame(100 * RNG.normal(size=(4, 7)), index=list("BCDY"))


def test_every_kind_of_features_has_the_same_length_and_is_centred_on_what_is_learned():
    table = conditions({"short": SHORT, "long": LONG}, list("ABCD"), list("XYZ"))
    assert list(table.index) == [CONTROL, *"ABCDXY"]  # of Z nothing is known
    assert table.shape[1] == 1 + 3 + 7
    assert (table.loc[CONTROL] == 0).all()
    assert (table[PERTURBED].drop(CONTROL) == LENGTH).all()
    for kind, names in (("short", list("ABCD")), ("long", list("BCD"))):
        block = table.loc[names].filter(like=f"{kind}: ")
        np.testing.assert_allclose(block.mean(), 0, atol=1e-5)
        assert np.square(block).sum(axis=1).mean() == pytest.approx(LENGTH**2, rel=1e-5)


def test_what_one_kind_does_not_know_is_its_mean():
    table = conditions({"short": SHORT, "long": LONG}, list("ABCD"), ["X", "Y"])
    assert (table.loc["X"].filter(like="long: ") == 0).all()
    assert (table.loc["Y"].filter(like="short: ") == 0).all()
    assert (table.loc["X"].filter(like="short: ") != 0).any()


def test_what_is_to_be_predicted_changes_nothing_for_the_others():
    one, other = (conditions({"short": SHORT}, list("ABC"), targets) for targets in (["X"], ["D", "X"]))
    pd.testing.assert_frame_equal(one, other.drop(index="D"))


def test_the_length_of_a_row_does_not_count():
    scaled = SHORT.mul([1, 2, 3, 4, 5], axis=0)
    pd.testing.assert_frame_equal(
        conditions({"a": SHORT}, list("ABC"), ["X"]), conditions({"a": scaled}, list("ABC"), ["X"])
    )


def test_a_pair_of_genes_has_the_sum_of_both_rows():
    table = conditions({"a": SHORT}, list("ABC"), ["D+X", "X"])
    both = pd.concat([SHORT, (SHORT.loc["D"] + SHORT.loc["X"]).rename("both").to_frame().T])
    due = conditions({"a": both}, list("ABC"), ["both", "X"])
    np.testing.assert_allclose(table.loc["D+X"], due.loc["both"], rtol=1e-5)


def test_features_that_know_no_learned_perturbation_are_left_out():
    assert conditions({"a": SHORT, "b": LONG.loc[["Y"]]}, list("ABC"), ["Y"]).shape == (4, 4)
    assert list(conditions({"b": LONG.loc[["Y"]]}, ["A"], ["Y"]).index) == [CONTROL]


def test_tables_side_by_side_weigh_the_same_and_hold_the_genes_that_any_knows():
    rng = np.random.default_rng(7)
    wide = pd.DataFrame(rng.normal(3.0, 9.0, (6, 40)), index=list("ABCDEF"))
    narrow = pd.DataFrame(rng.normal(size=(5, 2)), index=list("FEDCX"))
    joined = side_by_side([wide, narrow], length=2.0)
    assert list(joined.index) == list("ABCDEFX")
    for part, table in ((joined.iloc[:, :40], wide), (joined.iloc[:, 40:], narrow)):
        assert (part.loc[table.index] ** 2).sum(axis=1).mean() == pytest.approx(4.0)
        np.testing.assert_allclose(part.mean(), 0, atol=1e-12)
        assert (part.drop(index=table.index) == 0).all(axis=None)
