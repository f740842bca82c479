"""GO annotations, from a file in the consortium's format (GAF 2.2) and from the one that stands in for it."""

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from data_scripts.download import DownloadError
from data_scripts.priors import go
from starter.errors import InputError

HEADER = """!gaf-version: 2.2
!
!generated-by: GOC
!
!date-generated: 2026-08-05T00:00
!
!Header from source association file:
!=================================
!generated-by: UniProt
!=================================
"""


def row(symbol: str, qualifier: str, term: str, evidence: str, aspect: str = "P", **other: str) -> str:
    """One of the 17 columns' lines."""
    fields = {
        "db": "UniProtKB", "id": "P42224", "symbol": symbol, "qualifier": qualifier, "term": term,
        "reference": "PMID:9121453", "evidence": evidence, "with": "", "aspect": aspect,
        "name": "Signal transducer and activator of transcription 1-alpha/beta", "synonym": "STAT1",
        "type": "protein", "taxon": "taxon:9606", "date": "20260101", "by": "UniProt", "extension": "", "form": "",
    }  # fmt: skip
    return "\t".join((fields | other).values()) + "\n"


GAF = HEADER + "".join([
    row("STAT1", "enables", "GO:0003700", "IDA", "F"),
    row("STAT1", "involved_in", "GO:0060333", "IMP"),
    row("STAT1", "involved_in", "GO:0060333", "IEA", reference="GO_REF:0000002"),  # a second reason, not a second pair
    row("STAT1", "NOT|involved_in", "GO:0000001", "IDA"),
    row("STAT1", "NOT|enables", "GO:0003700", "IBA", "F"),  # another paper denies it; the first still says it
    row("STAT1", "acts_upstream_of_or_within", "GO:0042127", "IGI", taxon="taxon:9606|taxon:10376"),
    row("CUL3", "colocalizes_with", "GO:0005827", "IEA", "C", name='the "cullin" of 3! genes', id="Q13618"),
    row("CUL3", "involved_in", "GO:0008150", "ND", reference="GO_REF:0000015"),
    row("CUL3", "enables", "GO:0003674", "ND", "F", reference="GO_REF:0000015"),
    row("CUL3", "is_active_in", "GO:0005575", "IEA", "C"),  # a root, whatever the evidence
    row("NA", "part_of", "GO:0005634", "ISS", "C", extension="part_of(CL:0000576)", form="UniProtKB:P1-2"),
    row("CUL3-KLHL20 complex", "part_of", "GO:0031463", "IPI", "C", db="ComplexPortal", type="protein_complex"),
    row("BRD4", "involved_in", "GO:0006338", "IDA"),
])  # fmt: skip
GENES = {"STAT1", "CUL3", "NA", "NOTAGENE"}
DUE = [
    ("CUL3", "GO:0005827"),
    ("NA", "GO:0005634"),
    ("STAT1", "GO:0003700"),
    ("STAT1", "GO:0042127"),
    ("STAT1", "GO:0060333"),
]
TERMS = """go_id\tgo_name\tgo_domain\ttax_id\tannotation_type\tsize\tgene_ids\tgene_symbols
GO:0003700\ta\tmolecular_function\t9606\tdirect\t2\t6772|23476\tSTAT1|BRD4
GO:0005575\tcellular_component\tcellular_component\t9606\tdirect\t2\t6772|8452\tSTAT1|CUL3
GO:0005634\tb\tcellular_component\t9606\tdirect\t1\t1\tNA
GO:0005827\tc\tcellular_component\t9606\tdirect\t1\t8452\tCUL3
GO:0042127\td\tbiological_process\t9606\tdirect\t1\t6772\tSTAT1
GO:0060333\te\tbiological_process\t9606\tdirect\t1\t6772\tSTAT1
"""


def pairs(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(table.itertuples(index=False, name=None))


@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["packed", "plain"])
def test_the_consortiums_file(tmp_path: Path, pack: Callable[[bytes], bytes]):
    path = tmp_path / "HUMAN-uniprot.gaf.gz"
    path.write_bytes(pack(GAF.encode()))
    table = go.read_gaf(path, GENES)
    assert list(table.columns) == ["gene", "term"]
    assert pairs(table) == DUE


def test_the_file_that_stands_in(tmp_path: Path):
    path = tmp_path / "terms.tsv"
    path.write_text(TERMS)
    assert pairs(go.read_terms(path, GENES)) == DUE


def test_it_is_downloaded_and_its_lineage_written(publish: Callable, tmp_path: Path):
    content = gzip.compress(GAF.encode())
    publish("go", content)
    path = go.build(sorted(GENES), tmp_path / "priors", tmp_path / "downloads")
    assert path == tmp_path / "priors" / "go_annotations.tsv"
    assert path.read_text().splitlines() == ["gene\tterm", *("\t".join(pair) for pair in DUE)]
    lineage = json.loads((tmp_path / "priors" / "go_annotations.tsv.lineage.json").read_text())
    (file,) = lineage["inputs"]
    assert (file["name"], file["bytes"]) == ("HUMAN-uniprot.gaf.gz", len(content))
    assert file["sha256"] == hashlib.sha256(content).hexdigest()
    assert file["path"] == "../downloads/HUMAN-uniprot.gaf.gz"
    assert lineage["data_sets"][0]["name"] == "go"
    assert lineage["data_sets"][0]["licence"] == "CC BY 4.0"
    assert lineage["parameters"]["left_out"][:2] == ["NOT", "ND"]
    assert lineage["code"]["name"] == "go.py"


def test_a_stand_in_is_taken_where_it_is_and_the_consortiums_file_is_not(
    publish: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    publish("go", None)
    publish("go_terms", TERMS.encode())
    (tmp_path / "priors").mkdir()
    (tmp_path / "priors" / "GO_annotations-9606-direct-allev.tsv").write_text(TERMS)
    with pytest.raises(
        DownloadError, match="HUMAN-uniprot.gaf.gz could not be downloaded .*404.*set VCC_DATA to a fold"
    ):
        go.build(GENES, tmp_path / "out", tmp_path / "downloads")
    monkeypatch.setenv("VCC_DATA", str(tmp_path))
    path = go.build(GENES, tmp_path / "out", tmp_path / "downloads")
    lineage = json.loads(Path(f"{path}.lineage.json").read_text())
    assert lineage["data_sets"][0]["name"] == "go_terms"
    publish("go", gzip.compress(GAF.encode()))
    (tmp_path / "priors" / "HUMAN-uniprot.gaf.gz").write_bytes(gzip.compress(GAF.encode()))
    path = go.build(GENES, tmp_path / "out", tmp_path / "downloads")
    lineage = json.loads(Path(f"{path}.lineage.json").read_text())
    assert lineage["data_sets"][0]["name"] == "go"
    assert not (tmp_path / "downloads" / "HUMAN-uniprot.gaf.gz").exists()


def test_a_damaged_stand_in_is_named(publish: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    publish("go", None)
    (tmp_path / "priors").mkdir()
    (tmp_path / "priors" / "GO_annotations-9606-direct-allev.tsv").write_text(TERMS)
    monkeypatch.setenv("VCC_DATA", str(tmp_path))
    with pytest.raises(DownloadError, match="direct-allev.tsv: it has .* and should have 4,184,053; replace it"):
        go.build(GENES, tmp_path / "out", tmp_path / "downloads")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("UniProtKB\tP42224\tSTAT1\n", "is not a GAF 2: its first line is 'UniProtKB.*; download it again"),
        ("!gaf-version: 1.0\n", "is not a GAF 2"),
        (HEADER + row("STAT1", "enables", "GO:1", "IDA").replace("\t", " "), "line 11: .* is not a line of a GAF 2"),
        (HEADER + row("STAT1", "GO:0003700", "PMID:1", "IDA"), "line 11: .* is not a line of a GAF 2"),
        ("<html>too busy</html>", "is not a GAF 2"),
    ],
)
def test_another_layout_is_refused(tmp_path: Path, content: str, said: str):
    path = tmp_path / "x.gaf"
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        go.read_gaf(path, GENES)
    with pytest.raises(InputError, match="x.gaf has not the layout of a table of GO terms .*; get it again"):
        go.read_terms(path, GENES)
