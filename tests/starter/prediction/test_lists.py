"""Lists as spreadsheets, pandas and R write them."""

from pathlib import Path

import pandas as pd
import pytest

from starter.errors import InputError
from starter.prediction.requirements import requirements_of_lists

GENES = ("GENE0", "GENE1", "HLA-A")
TABLE = pd.DataFrame({"target_gene": ["GENE0", "GENE1"], "n_cells": [24, 30]})
VAR = pd.DataFrame({"n": [1, 2, 3]}, index=list(GENES))
SERIES = pd.Series(GENES)


def due(tmp_path: Path, genes: str | bytes = "\n".join(GENES), perts: str | bytes = "GENE0\nGENE1"):
    for name, content in (("genes.csv", genes), ("perts.csv", perts)):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return requirements_of_lists(tmp_path / "genes.csv", tmp_path / "perts.csv")


@pytest.mark.parametrize(
    "genes",
    [
        SERIES.rename("gene_name").to_csv(),
        SERIES.to_csv(),
        SERIES.to_csv(index=False),
        SERIES.to_csv(header=False),
        SERIES.rename("whatever").to_csv(),
        VAR.to_csv(),
        VAR.to_csv(sep="\t"),
        VAR.rename_axis("index").to_csv(sep=";"),
        VAR[[]].to_csv(),
        VAR.reset_index(names="gene_symbol").to_csv(),
        "gene_id\tgene_name\n" + "".join(f"ENSG{i:011d}\t{g}\n" for i, g in enumerate(GENES)),
        "gene_name|gene_id\n" + "".join(f"{g}|ENSG{i:011d}\n" for i, g in enumerate(GENES)),
        '"","x"\n' + "".join(f'"{i + 1}","{g}"\n' for i, g in enumerate(GENES)),
        '"x"\n' + "".join(f'"{g}"\n' for g in GENES),
        "\ufeffGene_Name;;\r\nGENE0;;\r\nGENE1 ;;\r\nHLA-A;;\r\n;;\r\n",
        "Gene\rGENE0\rGENE1\rHLA-A\r",
        "GENE0,\nGENE1,\nHLA-A,\n\n",
        "gene_name\nGENE0\nGENE1\nHLA-A\n".encode("utf-16"),
    ],
)
def test_genes_in_any_form(tmp_path: Path, genes: str | bytes):
    assert due(tmp_path, genes=genes).genes == GENES


@pytest.mark.parametrize(
    "perts",
    [
        TABLE.to_csv(),
        TABLE.to_csv(index=False),
        TABLE.to_csv(index=False, sep=";"),
        TABLE.to_csv(sep="\t"),
        TABLE.set_index("target_gene").to_csv(),
        TABLE.astype({"n_cells": float}).to_csv(),
        TABLE.assign(median_umi=3.5).to_csv(sep=";", decimal=","),
        TABLE.rename(columns={"target_gene": "Perturbation", "n_cells": "N_cells"}).to_csv(index=False),
        "\ufeff" + TABLE.to_csv(index=False, sep=";", lineterminator="\r\n") + ";;\r\n",
    ],
)
def test_perturbations_in_any_form(tmp_path: Path, perts: str):
    assert due(tmp_path, perts=perts).n_cells == {"GENE0": 24, "GENE1": 30}


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({"genes": "0\n1\n2"}, "genes.csv holds numbers where gene names are due .1, 2.; see which column"),
        ({"genes": "gene\nGENE0\n1-Mar\nSep-02\n"}, "genes.csv holds dates for names .1-Mar, Sep-02."),
        ({"genes": "a,b\nGENE0,x\nGENE1,y"}, "genes.csv has several columns and no header with gene_name"),
        (
            {"genes": ",a,b\n0,GENE0,x\n1,GENE1,y"},
            "gene_name, gene_names, gene_symbol ... .'', 'a', 'b'.",
        ),
        ({"genes": "n,gene\n1,GENE0\n2,"}, "genes.csv: its line 3 names no gene"),
        ({"perts": "GENE0,24\nGENE1,30"}, "perts.csv has several columns and no header with target_gene"),
        ({"perts": "target_gene,n_cells\nGENE0,2.5"}, "'GENE0,2.5' is no perturbation with its number of cells"),
        ({"perts": "GENE0\nctrl"}, "perts.csv lists 'ctrl', which looks like the control"),
        ({"perts": 'target_gene\n"GENE0'}, "cannot read the list .*perts.csv"),
    ],
)
def test_a_list_is_blamed_itself(tmp_path: Path, lists: dict, said: str):
    with pytest.raises(InputError, match=said):
        due(tmp_path, **lists)
