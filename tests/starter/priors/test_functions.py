"""What genes do, in the words of a priors folder."""

from pathlib import Path

import pandas as pd
import pytest

from starter.priors import functions


def write(folder: Path, file: str, **columns: list[str]) -> None:
    pd.DataFrame(columns).to_csv(folder / file, sep="\t", index=False)


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """One gene in processes of 1, 9 and 40 genes; of a term without a name nothing is told."""
    members = {"GO:1": 1, "GO:2": 9, "GO:3": 40, "GO:4": 10}
    genes = [("STAT1" if not i else f"GENE{i}", term) for term, n in members.items() for i in range(n)]
    write(tmp_path, "go_processes.tsv", gene=[gene for gene, _ in genes], term=[term for _, term in genes])
    write(tmp_path, "term_names.tsv", term=["GO:1", "GO:2", "GO:3"], name=["odd", "JAK-STAT cascade", "signalling"])
    return tmp_path


def test_the_process_of_a_telling_size_comes_first(known: Path):
    assert functions.functions(known, ["STAT1"]) == {"STAT1": ["JAK-STAT cascade", "signalling"]}
    assert functions.functions(known, ["STAT1"], most=3)["STAT1"][-1] == "odd"


def test_of_a_double_both_genes_are_told_and_unknown_genes_are_named(known: Path):
    assert functions.told(known, ["STAT1+GENE39", "NOBODY"]) == (
        "STAT1 is known for: JAK-STAT cascade; signalling\nGENE39 is known for: signalling"
    )
    assert functions.told(known, ["NOBODY"]) == "NOBODY: what it does is not told by this screen's tables"


def test_real_pathways_are_told_and_simulated_ones_are_not(tmp_path: Path):
    write(tmp_path, "simulated_pathways.tsv", pathway=["Simulated pathway 1"], gene=["STAT1"])
    assert functions.functions(tmp_path, ["STAT1"]) == {"STAT1": []}
    write(tmp_path, "reactome_pathways.tsv", pathway=["Interferon gamma signaling"], gene=["STAT1"])
    assert functions.functions(tmp_path, ["STAT1"]) == {"STAT1": ["Interferon gamma signaling"]}
