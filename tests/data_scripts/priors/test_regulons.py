"""DoRothEA regulons, from the R package's data file and from the table that stands in for it."""

import bz2
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdata
from rdata.conversion.to_r import DEFAULT_CLASS_MAP, build_r_object
from rdata.parser import RObjectType

from data_scripts.priors import regulons
from starter.errors import InputError

EDGES = pd.DataFrame(
    [
        ("STAT1", "A", "IRF1", 1.0),
        ("STAT1", "C", "BRD4", -1.0),
        ("STAT1", "D", "CUL3", 1.0),
        ("JAK2", "E", "STAT1", 1.0),
        ("IRF1", "B", "STAT1", -1.0),
        ("IRF1", "B", "IRF1", 1.0),
        ("SPI1", "A", "IRF1", 1.0),
        ("IRF1", "A", "SPI1", 1.0),
    ],
    columns=["tf", "confidence", "target", "mor"],
    index=pd.RangeIndex(1, 9),
)
GENES = {"STAT1", "IRF1", "BRD4", "CUL3", "JAK2"}
DUE = [("IRF1", "IRF1", 1), ("IRF1", "STAT1", -1), ("STAT1", "BRD4", -1), ("STAT1", "IRF1", 1)]


def tibble(data: pd.DataFrame, converter: object) -> object:
    """What the package's file holds: a data frame of R's tidyverse."""
    columns = [converter.convert_to_r_object(data[name].to_numpy()) for name in data]
    attributes = {
        "names": np.array(list(data.columns)),
        "row.names": np.arange(1, len(data) + 1, dtype=np.int32),
        "class": np.array(["tbl_df", "tbl", "data.frame"]),
    }
    attributes = converter.convert_to_r_attributes(attributes)
    return build_r_object(RObjectType.VEC, value=columns, is_object=True, attributes=attributes)


def package(edges: pd.DataFrame, path: Path, name: str = "dorothea_hs") -> bytes:
    rdata.write_rda(path, {name: edges}, constructor_dict={**DEFAULT_CLASS_MAP, pd.DataFrame: tibble})
    return path.read_bytes()


def rows(table: pd.DataFrame) -> list[tuple]:
    return list(table.itertuples(index=False, name=None))


def test_the_packages_file(publish: Callable, tmp_path: Path):
    publish("dorothea", package(EDGES, tmp_path / "x.rda"))
    path = regulons.build(GENES, tmp_path / "priors", tmp_path / "downloads")
    assert path.name == "dorothea_regulons.tsv"
    table = pd.read_csv(path, sep="\t")
    assert list(table.columns) == ["regulator", "target", "sign"]
    assert table["sign"].dtype == np.int64
    assert rows(table) == DUE
    lineage = json.loads((tmp_path / "priors" / "dorothea_regulons.tsv.lineage.json").read_text())
    assert lineage["inputs"][0]["name"] == "dorothea_hs.rda"
    assert lineage["parameters"]["confidence"] == ["A", "B", "C"]
    assert "academic" in lineage["data_sets"][0]["licence"]


def test_the_table_that_stands_in(publish: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    content = EDGES[EDGES["confidence"] < "D"].to_csv(sep="\t", index=False).encode()
    assert content.startswith(b"tf\tconfidence\ttarget\tmor\nSTAT1\tA\tIRF1\t1.0\n")
    publish("dorothea", None)
    publish("dorothea_abc", content)
    (tmp_path / "priors").mkdir()
    (tmp_path / "priors" / "dorothea_hs_ABC.tsv").write_bytes(content)
    monkeypatch.setenv("VCC_DATA", str(tmp_path))
    path = regulons.build(GENES, tmp_path / "out", tmp_path / "downloads")
    assert rows(pd.read_csv(path, sep="\t")) == DUE


def test_r_packs_its_files_by_bzip2_too(tmp_path: Path):
    (tmp_path / "y.rda").write_bytes(bz2.compress(gzip.decompress(package(EDGES, tmp_path / "x.rda"))))
    assert len(regulons.read_package(tmp_path / "y.rda")) == 6


def test_another_layout_is_refused(tmp_path: Path):
    path = tmp_path / "x.rda"
    package(EDGES, path, "entire_database")
    with pytest.raises(
        InputError, match="x.rda is not the R file that was expected .KeyError: 'dorothea_hs'.; download"
    ):
        regulons.read_package(path)
    package(EDGES.drop(columns="mor"), path)
    with pytest.raises(InputError, match="x.rda has not DoRothEA's columns tf, confidence, target, mor; download"):
        regulons.read_package(path)
    path.write_bytes(b"<html>too busy</html>")
    with pytest.raises(InputError, match="x.rda is not the R file that was expected"):
        regulons.read_package(path)


@pytest.mark.parametrize("mode", ["0.5", "0", "up", ""])
def test_a_sign_that_is_none_is_refused(tmp_path: Path, mode: str):
    path = tmp_path / "x.tsv"
    path.write_text(f"tf\tconfidence\ttarget\tmor\nSTAT1\tA\tIRF1\t1.0\nSTAT1\tA\tJAK2\t{mode}\n")
    with pytest.raises(InputError, match=f"x.tsv has the modes of regulation {mode} beside -1 and 1"):
        regulons.read_table(path)


def test_a_table_without_its_columns_is_refused(tmp_path: Path):
    path = tmp_path / "x.tsv"
    path.write_text("source\ttarget\tweight\nSTAT1\tIRF1\t1\n")
    with pytest.raises(InputError, match="x.tsv has not DoRothEA's columns"):
        regulons.read_table(path)
    with pytest.raises(InputError, match="nothing.tsv is not a table .*No such file"):
        regulons.read_table(tmp_path / "nothing.tsv")
