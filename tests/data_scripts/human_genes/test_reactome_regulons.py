"""Regulons read from Reactome."""

import re

import pytest

from data_scripts.human_genes import reactome_regulons
from data_scripts.human_genes.reactome_regulons import REGULONS, read_regulons
from starter.errors import InputError


def pathways() -> dict[str, set[str]]:
    """Give the pathways that are named, with no more genes than are read from them."""
    genes: dict[str, set[str]] = {}
    for pathway, factors, _, targets in REGULONS:
        genes.setdefault(pathway, set()).update(factors.split(), targets.split())
    return genes


def test_what_is_written_becomes_a_table():
    table = read_regulons(pathways())
    rows = set(table.itertuples(index=False, name=None))
    assert {("STAT1", "IRF1", 1), ("TP53", "CDKN1A", 1), ("TP53", "CCNB1", -1), ("E2F4", "CCNE1", -1)} <= rows
    assert ("STAT1", "STAT1", 1) not in rows
    assert table.equals(table.sort_values(["regulator", "target"]))
    assert not table.duplicated(["regulator", "target"]).any()


def test_a_release_without_a_target_is_refused():
    lacking = pathways()
    lacking["R-HSA-381183"].discard("HSPA5")
    with pytest.raises(InputError, match="R-HSA-381183 does not hold HSPA5; correct REGULONS or its release"):
        read_regulons(lacking)


def test_both_signs_are_refused(monkeypatch: pytest.MonkeyPatch):
    rows = (("R-HSA-1", "MYC", 1, "TP53"), ("R-HSA-1", "MYC", -1, "TP53"))
    monkeypatch.setattr(reactome_regulons, "REGULONS", rows)
    with pytest.raises(InputError, match="both signs are written for MYC-TP53"):
        read_regulons({"R-HSA-1": {"MYC", "TP53"}})


def test_symbols_are_symbols():
    for pathway, factors, sign, targets in REGULONS:
        assert re.fullmatch(r"R-HSA-\d+", pathway)
        assert sign in (-1, 1)
        for symbol in (*factors.split(), *targets.split()):
            assert re.fullmatch(r"[A-Z][A-Z0-9-]+", symbol)
