from pathlib import Path

import pytest

from starter.data.course import open_course
from starter.data.split import read_split
from starter.errors import InputError
from starter.prediction.requirements import Requirements, requirements_of_lists


def test_the_courses_due(due: Requirements, released):
    split = read_split(released.public_folder / "split.json")
    assert due.n_cells == split.n_cells("hidden")
    assert len(due.genes) == 200
    assert due.target_sum == open_course(released.public_folder).train().uns["course"]["target_sum"]


def test_the_challenges_lists(vcc_data: Path):
    due = requirements_of_lists(
        vcc_data / "vcc2025" / "gene_names.csv", vcc_data / "vcc2025" / "pert_counts_Validation.csv"
    )
    assert len(due.genes) == 18_080
    assert due.genes[0] == "SAMD11"
    assert len(due.n_cells) == 50
    assert sum(due.n_cells.values()) == 60_751


def test_plain_lists(tmp_path: Path):
    (tmp_path / "genes.csv").write_text("A\nB\n")
    (tmp_path / "perts.csv").write_text("A\nnon-targeting\n")
    assert requirements_of_lists(tmp_path / "genes.csv", tmp_path / "perts.csv") == Requirements(
        ("A", "B"), {"A": None}
    )


@pytest.mark.parametrize(
    ("genes", "perts", "said"),
    [
        ("", "A", "the list .*genes.csv is empty"),
        ("gene_name", "A", "genes.csv names no gene"),
        ("A\nA", "A", "genes.csv holds a gene twice"),
        ("A", "A\nA", "perts.csv lists A twice"),
        ("A", "target_gene,n_cells\nA,many", "'A,many' is no perturbation with its number of cells"),
        ("A", "non-targeting", "perts.csv names no perturbation"),
        ("A", "target_gene,n_cells\nA,-1", "perts.csv: A has -1 cells"),
        ("A", "A,12", "perts.csv has several columns and no header with target_gene"),
        ("A", b"\xff\xfe\x00", "cannot read the list .*perts.csv"),
    ],
)
def test_bad_lists(tmp_path: Path, genes: str, perts: str | bytes, said: str):
    (tmp_path / "genes.csv").write_text(genes)
    (tmp_path / "perts.csv").write_bytes(perts if isinstance(perts, bytes) else perts.encode())
    with pytest.raises(InputError, match=said):
        requirements_of_lists(tmp_path / "genes.csv", tmp_path / "perts.csv")


def test_lists_of_a_spreadsheet(tmp_path: Path):
    (tmp_path / "genes.csv").write_bytes('\ufeff"A"\r\n"B"\r\n\r\n'.encode())
    (tmp_path / "perts.csv").write_bytes('\ufeff"n_cells","target_gene"\r\n"12","A"\r\n'.encode())
    assert requirements_of_lists(tmp_path / "genes.csv", tmp_path / "perts.csv") == Requirements(("A", "B"), {"A": 12})


def test_a_header_of_the_genes_is_no_gene(tmp_path: Path):
    (tmp_path / "genes.csv").write_text("gene_name\nA\nB\n")
    (tmp_path / "perts.csv").write_text("target_gene\nA\n")
    assert requirements_of_lists(tmp_path / "genes.csv", tmp_path / "perts.csv").genes == ("A", "B")


@pytest.mark.parametrize(
    ("manifest", "contexts", "panel_id"),
    [
        ('{"contexts": ["D", "E", "F"], "panel_id": "final"}', ("D", "E", "F"), "final"),
        ('{"contexts": ["A", "B", "C"], "panel_id": 3}', ("A", "B", "C"), None),
        ('{"contexts": [], "panel_id": "x"}', None, None),
        ('{"contexts": "ABC"}', None, None),
        ("[]", None, None),
        ("{", None, None),
        ("[" * 100_000, None, None),
    ],
)
def test_the_manifest_beside_the_lists(tmp_path: Path, manifest: str, contexts: tuple | None, panel_id: str | None):
    (tmp_path / "genes.csv").write_text("A\n")
    (tmp_path / "perts.csv").write_text("A\n")
    (tmp_path / "manifest.json").write_text(manifest)
    due = requirements_of_lists(tmp_path / "genes.csv", tmp_path / "perts.csv")
    assert (due.contexts, due.panel_id) == (contexts, panel_id)


def test_the_fingerprint_is_of_the_names_and_is_vcc_clis(tmp_path: Path):
    from vcc.panel import perts_fingerprint

    (tmp_path / "genes.csv").write_text("A\nB\n")
    (tmp_path / "a.csv").write_text("target_gene\nB\nA\nnon-targeting\n")
    (tmp_path / "b.csv").write_bytes(
        '\ufeff"n_cells","target_gene"\r\n5,"A"\r\n5,"non-targeting"\r\n5,"B"\r\n'.encode()
    )
    prints = {requirements_of_lists(tmp_path / "genes.csv", tmp_path / name).fingerprint for name in ("a.csv", "b.csv")}
    assert prints == {perts_fingerprint(str(tmp_path / "a.csv"))}
