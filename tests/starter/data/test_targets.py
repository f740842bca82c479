"""Labels compared with genes: what is measured, what is meant, what is said."""

import pandas as pd
import pytest

from starter.data.targets import (
    check_control,
    compare_targets,
    how_genes_differ,
    like_control,
    measured_targets,
    symbol_column,
)

GENES = ["STAT1", "JAK2", "IRF1", "C1orf112", "CTRL", "NKX2-5"]
IDS = [f"ENSG{i:011d}" for i in range(len(GENES))]


def said(labels: list[str], var: pd.DataFrame | None = None) -> list[str]:
    return [str(finding) for finding in compare_targets(labels, pd.DataFrame(index=GENES) if var is None else var)]


@pytest.mark.parametrize(
    "labels", [["STAT1", "JAK2+IRF1", "CTRL"], ["STAT1", "TP53"], [], ["NKX2-5", "NKX6-1", "H1-0"]]
)
def test_targets_that_are_genes_or_are_not_measured_are_no_fault(labels: list[str]):
    assert said(labels) == []


def test_how_many_are_measured_is_said():
    measured = measured_targets(["STAT1", "JAK2+TP53", "non-targeting"], GENES)
    assert (measured.n, measured.missing) == (3, ("TP53",))
    assert str(measured) == "2 of 3 targets are measured (not TP53)"
    assert str(measured_targets(["STAT1"], GENES)) == "1 of 1 target are measured"
    assert measured_targets(["STAT1+ctrl"], GENES).missing == ("STAT1+ctrl",)


@pytest.mark.parametrize("label", ["STAT1+ctrl", "ctrl+STAT1", "STAT1+non-targeting", "NT_3+STAT1", "STAT1+negCtrl"])
def test_a_control_beside_the_gene(label: str):
    (finding,) = said([label, "JAK2", "JAK2+IRF1"])
    assert finding.startswith(f"1 of 3 targets carry the control's label beside the gene: {label!r} is STAT1; ")
    fix = finding.split("; ")[1]
    labels = pd.Series([label, "JAK2", "non-targeting", "JAK2+IRF1"], dtype="category")
    new = eval(fix.split(" = ")[1].replace("adata.obs['target_gene']", "labels"), {"labels": labels})
    assert new.tolist() == ["STAT1", "JAK2", "non-targeting", "JAK2+IRF1"]
    assert new.dtype == "category"


@pytest.mark.parametrize(
    ("labels", "var", "fault"),
    [
        (
            ["STAT1", "JAK2"],
            pd.DataFrame({"feature_name": GENES, "n": 3}, index=IDS),
            "2 of 2 targets are named as in var['feature_name'], not as the genes are: 'JAK2' is ENSG00000000001, "
            "'STAT1' is ENSG00000000000; adata.var_names = adata.var['feature_name'].astype(str), "
            "then adata.var_names_make_unique()",
        ),
        (
            IDS[:2],
            pd.DataFrame({"ensembl_id": IDS}, index=GENES),
            "2 of 2 targets are named as in var['ensembl_id']: 'ENSG00000000000' is STAT1, 'ENSG00000000001' is JAK2; "
            "adata.obs['target_gene'] = adata.obs['target_gene'].astype(str).replace("
            "dict(zip(adata.var['ensembl_id'].astype(str), adata.var_names))).astype('category')",
        ),
        (
            ["ENSG00000000001"],
            pd.DataFrame(index=[f"{name}.5" for name in IDS]),
            "1 of 1 target are Ensembl ids of another version than the genes'",
        ),
        (["ENSG00000000001.7"], pd.DataFrame(index=IDS), "1 of 1 target are Ensembl ids of another version"),
        (["stat1", "Jak2", "C1ORF112"], None, "3 of 3 targets are written in another case than the genes"),
        (["STAT1_JAK2"], None, "1 of 1 target hold more than a gene symbol, or doubles not written A+B: 'STAT1_JAK2'"),
        (["STAT1_1", "JAK2g2", "sgIRF1_3"], None, "3 of 3 targets hold more than a gene symbol"),
        (["STAT1 ", "JAK2-KO", "K562|IRF1|P1"], None, "3 of 3 targets hold more than a gene symbol"),
        (["NKX2.5"], None, "1 of 1 target are written with other signs than the genes: 'NKX2.5' is NKX2-5"),
        (
            ["siRNA-A", "siRNA-B"],
            None,
            "none of the 2 targets (siRNA-A, siRNA-B) is among the genes (STAT1, JAK2, IRF1, C1orf112, CTRL and 1 mo",
        ),
        (["STAT1"], pd.DataFrame(index=IDS), "none of the 1 target (STAT1) is among the genes"),
    ],
)
def test_targets_under_other_names(labels: list[str], var: pd.DataFrame | None, fault: str):
    (finding,) = said(labels, var)
    assert finding.startswith(fault)


def test_different_ways_are_all_said():
    findings = said(["STAT1+ctrl", "jak2", "IRF1", "TP53"])
    assert [finding.split(":")[0] for finding in findings] == [
        "1 of 4 targets carry the control's label beside the gene",
        "1 of 4 targets are written in another case than the genes",
    ]


def test_a_part_of_a_course_may_lack_its_few_targets():
    var = pd.DataFrame(index=GENES)
    assert compare_targets(["TP53", "MYC"], var, of_course=True) == []
    assert compare_targets([f"X{i}A" for i in range(20)], var, of_course=True)


@pytest.mark.parametrize(
    "label",
    ["ctrl", "CTRL", "NT", "NTC", "NT_3", "NTg7", "non_targeting", "Non-Targeting", "non-targeting_00012", "control",
     "NegCtrl", "NegCtrl0_NegCtrl0", "negative_control", "nontargeting-3", "Non-targeting control"],
)  # fmt: skip
def test_other_spellings_of_the_control(label: str):
    assert like_control(label, ["STAT1"])
    (finding,) = check_control({label: 12, "STAT1": 5}, ["STAT1"])
    assert f"no cell is labelled 'non-targeting'; {label!r} (12 cells) looks like the control" in str(finding)


def test_a_second_spelling_beside_the_control_is_said_and_a_gene_is_none():
    counts = {"non-targeting": 9, "ctrl": 3, "CTRL": 2, "untreated": 4}
    (finding,) = check_control(counts, GENES)
    assert finding.what == "'ctrl' (3 cells) looks like the control, whose label is 'non-targeting'"
    assert "untreated" in check_control({"untreated": 4, "A": 2}, GENES)[0].what
    assert check_control({"A": 2}, GENES)[0].what == "no cell is labelled 'non-targeting'; the labels are A"
    assert check_control({"A": 2}, GENES, needed=False) == []


def test_genes_that_are_due_are_found_under_other_names():
    assert "var['gene_name'] holds the names that are due" in how_genes_differ(
        GENES, pd.DataFrame({"gene_name": GENES}, index=IDS)
    )
    assert "Ensembl ids" in how_genes_differ(GENES, pd.DataFrame(index=IDS))
    assert "version numbers" in how_genes_differ(IDS, pd.DataFrame(index=[f"{name}.1" for name in IDS]))
    assert "capital" in how_genes_differ(GENES, pd.DataFrame(index=[name.title() for name in GENES]))
    assert how_genes_differ(GENES, pd.DataFrame(index=GENES[:3])) == ""


def test_the_column_of_symbols():
    var = pd.DataFrame({"feature_name": GENES, "Gene_Symbol": GENES, "n": range(6)}, index=IDS)
    assert symbol_column(var) == "Gene_Symbol"
    assert symbol_column(var[["n"]]) is None
    assert symbol_column(var, ["STAT1"]) in ("feature_name", "Gene_Symbol")
    assert symbol_column(var, ["XIST"]) is None
