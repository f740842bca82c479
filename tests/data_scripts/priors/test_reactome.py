"""Reactome pathways, from the publisher's zip and from the file that stands in for it."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from data_scripts.priors import reactome
from starter.errors import InputError

GMT = """2-LTR circle formation\tR-HSA-164843\tBANF1\tHMGA1\tgag-pol
Interferon gamma signaling\tR-HSA-877300\tIFNGR1\tJAK2\tSTAT1\tSTAT1
ATF4 activates genes in response to endoplasmic reticulum  stress\tR-HSA-380994\tATF4\tIRF1
Signaling by "ω-3" / PUFA\tR-HSA-1\tJAK2
Signaling  by FGFR2\tR-HSA-2\tCUL3
Signaling by FGFR2\tR-HSA-3\tCUL3\tJAK2
Empty\tR-HSA-4
"""
GENES = {"STAT1", "JAK2", "IRF1", "CUL3", "Reactome", "BRD4"}
DUE = [
    ("ATF4 activates genes in response to endoplasmic reticulum stress", "IRF1"),
    ("Interferon gamma signaling", "JAK2"),
    ("Interferon gamma signaling", "STAT1"),
    ('Signaling by "ω-3" / PUFA', "JAK2"),
    ("Signaling by FGFR2 (R-HSA-2)", "CUL3"),
    ("Signaling by FGFR2 (R-HSA-3)", "CUL3"),
    ("Signaling by FGFR2 (R-HSA-3)", "JAK2"),
]


def zipped(text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ReactomePathways.gmt", text)
    return content.getvalue()


def older(text: str) -> str:
    """Until 2018 a third column said the same in every line."""
    return "".join(
        "\t".join([*line.split("\t")[:2], "Reactome Pathway", *line.split("\t")[2:]])
        for line in text.splitlines(keepends=True)
    )


@pytest.mark.parametrize(
    "content",
    [zipped(GMT), GMT.encode(), zipped(GMT.replace("\n", "\r\n")), zipped(older(GMT.replace("Empty\tR-HSA-4\n", "")))],
    ids=["zip", "unpacked", "Windows", "older"],
)
def test_the_publishers_file_and_what_stands_in(tmp_path: Path, content: bytes):
    path = tmp_path / "pathways"
    path.write_bytes(content)
    table = reactome.read_gmt(path, GENES)
    assert list(table.columns) == ["pathway", "gene"]
    assert list(table.itertuples(index=False, name=None)) == DUE


def test_it_is_downloaded_and_its_lineage_written(publish: Callable, tmp_path: Path):
    publish("reactome", zipped(GMT))
    path = reactome.build(GENES, tmp_path / "priors", tmp_path / "downloads")
    assert path.name == "reactome_pathways.tsv"
    assert path.read_text(encoding="utf-8").splitlines()[:3] == [
        "pathway\tgene",
        *("\t".join(pair) for pair in DUE[:2]),
    ]
    assert [file.name for file in (tmp_path / "downloads").glob("*.zip")] == ["ReactomePathways.gmt.zip"]
    lineage = json.loads((tmp_path / "priors" / "reactome_pathways.tsv.lineage.json").read_text())
    assert lineage["data_sets"][0]["licence"] == "CC0 1.0"
    assert lineage["inputs"][0]["name"] == "ReactomePathways.gmt.zip"


def test_a_zip_bomb_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reactome, "LIMIT", 10_000)
    path = tmp_path / "ReactomePathways.gmt.zip"
    path.write_bytes(zipped(GMT + "A\tR-HSA-5" + "\tJAK2" * 1_000_000))
    assert path.stat().st_size < 50_000
    with pytest.raises(InputError, match="gmt.zip unpacks to more than 10,000 bytes"):
        reactome.read_gmt(path, GENES)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("2-LTR circle formation\tBANF1\tHMGA1\n", "line 1: '2-LTR.* is not a pathway with its Reactome id; download"),
        (GMT + "no id\n", "line 8: 'no id' is not a pathway"),
        ("\tR-HSA-164843\tBANF1\n", "line 1: .* is not a pathway"),
        ("<html>too busy</html>", "line 1: .* is not a pathway"),
    ],
)
def test_another_layout_is_refused(tmp_path: Path, content: str, said: str):
    path = tmp_path / "x.gmt"
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        reactome.read_gmt(path, GENES)
