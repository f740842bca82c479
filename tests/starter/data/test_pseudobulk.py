import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter.data import pseudobulk
from starter.errors import InputError
from starter.schema import CONTROL


def screen() -> anndata.AnnData:
    counts = np.array([[2, 0], [4, 6], [1, 1], [0, 3], [5, 5]], dtype=np.float32)
    obs = pd.DataFrame(
        {
            "target_gene": pd.Categorical([CONTROL, CONTROL, "B", "A", "A"]),
            "context": pd.Categorical(["x", "x", "x", "x", "y"]),
            "n_umis": [10, 10, 10, 10, 10],
        },
        index=list("abcde"),
    )
    return anndata.AnnData(scipy.sparse.csr_matrix(counts), obs, pd.DataFrame(index=["G", "H"]))


@pytest.mark.parametrize("sparse", [True, False])
def test_group_means_by_hand(sparse: bool):
    x = np.array([[1.0, 2], [3, 4], [5, 9], [7, 7]])
    means = pseudobulk.group_means(scipy.sparse.csr_matrix(x) if sparse else x, np.array([1, 0, 1, -1]), 3)
    np.testing.assert_allclose(means[:2], [[3, 4], [3, 5.5]])
    assert np.isnan(means[2]).all()


def test_profiles_are_means_of_log_expression_by_pair():
    table = pseudobulk.profiles(screen())
    assert list(table.index) == [("x", "A"), ("x", "B"), ("x", CONTROL), ("y", "A")]
    assert table.index.names == ["context", "perturbation"]
    np.testing.assert_allclose(table.loc[("x", CONTROL)], [(np.log1p(2) + np.log1p(4)) / 2, np.log1p(6) / 2], rtol=1e-6)


def test_effects_are_profile_minus_the_contexts_control():
    table = pseudobulk.profiles(screen()).loc[["x"]]
    effects = pseudobulk.effects(table)
    assert list(effects.index) == [("x", "A"), ("x", "B")]
    np.testing.assert_allclose(effects.loc[("x", "B")], table.loc[("x", "B")] - table.loc[("x", CONTROL)])


def test_a_context_without_control_is_named():
    with pytest.raises(InputError, match="no 'non-targeting' profile in context y"):
        pseudobulk.effects(pseudobulk.profiles(screen()))


def table(values: object = ((0.5, 1.0),), columns: tuple = ("G", "H"), names: tuple = ("context", "perturbation")):
    index = pd.MultiIndex.from_tuples([("x", f"P{i}") for i in range(len(values))], names=names)
    return pd.DataFrame(np.array(values, dtype=float), index=index, columns=columns)


def test_a_good_table_passes():
    pseudobulk.check_profile_table(table(), ["G", "H"])


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (table(names=("a", "b")), "indexed by context and perturbation; this one is indexed by"),
        (table(columns=("G", "I")), "missing 1 .H., extra 1 .I."),
        (table(columns=("H", "G")), "their order differs"),
        (table(((np.nan, 1.0),)), "NaN or infinite values in the profile table: 1"),
        (table(((-0.1, 1.0),)), "negative values in the profile table: 1"),
        (pd.concat([table(), table()]), "rows that occur twice in the profile table: 1"),
    ],
)
def test_a_bad_table_is_refused(bad: pd.DataFrame, said: str):
    with pytest.raises(InputError, match=said):
        pseudobulk.check_profile_table(bad, ["G", "H"])
