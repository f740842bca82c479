"""The table of top genes is read whole, or refused in one sentence."""

from pathlib import Path

import pandas as pd
import pytest

from starter.errors import InputError
from starter.priors.tables import read_top_genes

ROWS = [
    ("RPE1", "B", 1, "X"), ("RPE1", "B", 2, "Y"), ("RPE1", "A", 2, "Z"), ("RPE1", "A", 1, "X"),
    ("K562", "A", 1, "Y"), ("K562", "A", 2, "Z"), ("K562", "B", 1, "Z"), ("K562", "B", 2, "X"),
]  # fmt: skip


def written(folder: Path, rows: list[tuple]) -> Path:
    path = folder / "some_top_genes.parquet"
    pd.DataFrame(rows, columns=["context", "perturbation", "rank", "gene"]).to_parquet(path)
    return path


def test_lists_stand_in_the_order_of_ranks(tmp_path: Path):
    lists = read_top_genes(written(tmp_path, ROWS))
    assert list(lists) == ["K562", "RPE1"]
    assert lists["RPE1"].loc["A"].to_list() == ["X", "Z"]
    assert [of_line.index.to_list() for of_line in lists.values()] == [["A", "B"], ["A", "B"]]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS[:-1], "needs a list of the same length"),
        (ROWS[:4], "each of two lines or more needs a list"),
        ([*ROWS[:4], *ROWS[4:6]], "for the same perturbations"),
        ([*ROWS, ("K562", "B", 2, "Y")], "a rank comes twice"),
    ],
)
def test_incomplete_lists_are_refused(rows: list[tuple], said: str, tmp_path: Path):
    with pytest.raises(InputError, match=said):
        read_top_genes(written(tmp_path, rows))


def test_other_columns_are_refused(tmp_path: Path):
    path = tmp_path / "odd_top_genes.parquet"
    pd.DataFrame({"gene": ["A"]}).to_parquet(path)
    with pytest.raises(InputError, match="has no column context, perturbation, rank"):
        read_top_genes(path)
    path.write_text("no parquet")
    with pytest.raises(InputError, match="is not a table of top genes as parquet"):
        read_top_genes(path)
