"""Former names of genes and today's."""

import pandas as pd
import pytest

from data_scripts.priors.gene_symbols import GeneSymbols

NAMES = pd.DataFrame(
    [
        ("ATP5A1", "ENSG1"),  # once
        ("ATP5F1A", "ENSG1"),
        ("ABG", "ENSG2"),  # two genes were called so
        ("ABG", "ENSG3"),
        ("ALB", "ENSG2"),
        ("GAB1", "ENSG3"),
        ("H2BC5", "ENSG4"),
        ("HIST1H2BD", "ENSG4"),
        ("OLD", "ENSG5"),
    ],
    columns=["gene_name", "ensembl_id"],
)


@pytest.fixture
def today() -> GeneSymbols:
    return GeneSymbols(NAMES, ["ATP5F1A", "ALB", "H2BC5"], ["ATP5A1", "GAB1", "HIST1H2BD", "NEW"])


@pytest.mark.parametrize(
    ("symbol", "due"),
    [
        ("ATP5A1", "ATP5F1A"),
        ("ATP5F1A", "ATP5F1A"),
        ("HIST1H2BD", "H2BC5"),
        ("GAB1", "GAB1"),
        ("NEW", "NEW"),
        ("ABG", None),
        ("OLD", None),
        ("", None),
    ],
)
def test_one_symbol_a_gene(today: GeneSymbols, symbol: str, due: str | None):
    assert today.one(symbol) == due


def test_many(today: GeneSymbols):
    assert today.all(["ATP5A1", "ATP5F1A", "ABG", "ALB"]) == {"ATP5F1A", "ALB"}
    values = pd.Series([1.0, 3.0, 2.0, 5.0], ["ATP5A1", "ATP5F1A", "ALB", "ABG"])
    assert today.indexed(values).to_dict() == {"ALB": 2.0, "ATP5F1A": 3.0}
