"""The contract of models: what a file must have, and what an answer must be."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from starter.data.dataset import PAIR
from starter.errors import InputError
from starter.models.contract import Contract, predict, read_model, spread
from starter.models.training_data import TrainingData
from starter.schema import CONTROL

PAIRS = pd.MultiIndex.from_tuples([("A", "X"), ("A", "Y")], names=PAIR)
GENES = ["g", "h"]


def data() -> TrainingData:
    index = pd.MultiIndex.from_tuples([("A", CONTROL), ("A", "V"), ("A", "W")], names=PAIR)
    table = pd.DataFrame([[1.0, 2.0], [2.0, 2.0], [4.0, 1.0]], index, GENES)
    return TrainingData(table, pd.Series([100, 10, 20], index))


MEAN = """
import pandas as pd

def fit(data):
    return data.profiles.loc[data.pairs].mean()

def predict(model, pairs):
    return pd.DataFrame([model] * len(pairs), index=pairs)

def spread(model, pairs):
    return 0 * predict(model, pairs) + 0.5
"""


def test_a_file_is_fitted_asked_and_keeps_its_name(tmp_path: Path):
    (tmp_path / "my_mean.py").write_text(MEAN)
    contract = read_model(tmp_path / "my_mean.py")
    model = contract.fit(data())
    assert contract.name == "my_mean"
    table = predict(contract, model, PAIRS, GENES)
    assert table.to_numpy().tolist() == [[3.0, 1.5]] * 2  # by hand: the mean of V and W
    assert table.index.equals(PAIRS)
    doubt = spread(contract, model, PAIRS, GENES)
    assert doubt is not None
    assert (doubt == 0.5).to_numpy().all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", r"has no function fit\(data\)"),
        ("def fit(data): ...", r"has no function predict\(model, pairs\)"),
        ("fit = 3\npredict = 4", r"has no function fit\(data\)"),
        ("def fit(): ...\ndef predict(m, p): ...", r"fit cannot be called as fit\(data\): too many positional"),
        ("def fit(data): ...\ndef predict(model): ...", r"predict cannot be called as predict\(model, pairs\)"),
        ("def fit(data, k): ...\ndef predict(m, p): ...", "missing a required argument: 'k'"),
        ("import no_such_module_at_all", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module"),
        ("def fit(data:", "cannot be imported: SyntaxError"),
        (MEAN.replace("def spread(model, pairs)", "def spread(model)"), r"spread cannot be called as spread\(model, p"),
    ],
)
def test_a_file_without_the_contract_is_refused(tmp_path: Path, text: str, said: str):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_model(path)


def test_what_is_no_python_file_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="nothing"):
        read_model(tmp_path / "nothing.py")
    (tmp_path / "notes.txt").write_text("fit")
    with pytest.raises(InputError, match="is no Python file"):
        read_model(tmp_path / "notes.txt")


def answering(answer: object) -> Contract:
    return Contract("mine", lambda data: None, lambda model, pairs: answer)


GOOD = pd.DataFrame(1.0, PAIRS, GENES)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "predict of mine gave a NoneType; give a table"),
        (GOOD.to_numpy(), "predict of mine gave a ndarray"),
        (GOOD.iloc[:1], r"one row for each pair asked, indexed by context and perturbation: missing 1 \(Y in A\)"),
        (GOOD.droplevel(0), "build the table with index=pairs"),
        (GOOD.rename_axis(["a", "b"]), "one row for each pair asked"),
        (pd.concat([GOOD, GOOD]), "one row for each pair asked"),
        (GOOD[["h", "g"]], "predict of mine: the profile table's columns are not the course's genes: their order"),
        (GOOD[["g"]], r"not the course's genes: missing 1 \(h\)"),
        (GOOD.replace({"g": {1.0: np.nan}}), "predict of mine: NaN or infinite values .*: 2"),
        (-GOOD, "predict of mine: negative values in the profile table: 4"),
    ],
)
def test_an_answer_that_is_no_profile_table_is_refused(answer: object, said: str):
    with pytest.raises(InputError, match=said):
        predict(answering(answer), None, PAIRS, GENES)


def test_rows_are_put_in_the_order_asked():
    table = pd.DataFrame([[1.0, 1.0], [2.0, 2.0]], PAIRS, GENES)
    came = predict(answering(table.iloc[::-1]), None, PAIRS, GENES)
    np.testing.assert_array_equal(came, table)
    assert spread(answering(table), None, PAIRS, GENES) is None
