import pandas as pd
import pytest

from data_scripts.adoption.genes import NO_NAMES, Genes, harmonise_genes
from data_scripts.adoption.labels import MOST_GUIDES, Meaning, read_labels
from data_scripts.adoption.layout import Layout
from data_scripts.priors.gene_symbols import GeneSymbols

MEASURED = [
    "STAT1",
    "STAT2",
    "HLA-A",
    "NKX2-1",
    "H3-3B",
    "AC118549.1",
    "KLF1",
    "MAP2K6",
    "ZAP70",
    "MAP3K21",
    "CTRL",
    "ATM",
]


def genes(names: GeneSymbols = NO_NAMES) -> Genes:
    return harmonise_genes(pd.DataFrame(index=MEASURED), Layout(), names)


def means(label: str, **layout) -> Meaning:
    return read_labels([label], Layout(**layout), genes())[label]


@pytest.mark.parametrize(
    "label",
    ["non-targeting", "ctrl", "control", "NT", "NT_3", "NTg7", "NegCtrl0_NegCtrl0", "non_targeting", "ctrl+ctrl"],
)
def test_usual_spellings_are_the_control(label: str):
    assert means(label) == Meaning("non-targeting")


def test_a_gene_that_is_called_ctrl_is_no_control():
    assert means("CTRL") == Meaning("CTRL")


@pytest.mark.parametrize(
    ("label", "control"),
    [("NO_SITE_12", "*_SITE_*"), ("ONE_SITE_3", "*_SITE_*"), ("62(mod)_pBA581", "*(mod)_*"), ("random", "random")],
)
def test_other_controls_are_those_of_the_layout(label: str, control: str):
    assert means(label, control=(control,), separator="_").target == "non-targeting"
    assert means(label, separator="_").target != "non-targeting"


@pytest.mark.parametrize(
    ("label", "separator", "target"),
    [
        ("STAT1+ctrl", None, "STAT1"),
        ("ctrl+STAT1", None, "STAT1"),
        ("STAT1+KLF1", None, "KLF1+STAT1"),
        ("STAT1+STAT1", None, "STAT1"),
        ("STAT1_KLF1", "_", "KLF1+STAT1"),
        ("STAT1_control", "_", "STAT1"),
        ("ABC1_XYZ", "_", "ABC1+XYZ"),
        ("STAT1,KLF1", ",", "KLF1+STAT1"),
        ("NKX2-1-KLF1", "-", "KLF1+NKX2-1"),
        ("NKX2-1", "-", "NKX2-1"),
    ],
)
def test_doubles_are_written_alike(label: str, separator: str | None, target: str):
    assert means(label, separator=separator) == Meaning(target)


@pytest.mark.parametrize(
    ("label", "target"),
    [
        ("ZAP70_1", "ZAP70"),
        ("ZAP70_g2", "ZAP70"),
        ("ZAP70_sg2", "ZAP70"),
        ("ZAP70-2", "ZAP70"),
        ("ZAP70.2", "ZAP70"),
        ("STAT2g2", "STAT2"),
        ("NKX2-1_2", "NKX2-1"),
        ("LAT_1", "LAT"),
        ("STAT1_pDS255", "STAT1"),
    ],
)
def test_the_number_of_a_guide_is_cut_off(label: str, target: str):
    assert means(label) == Meaning(target, of_guide=True)
    assert means(label, separator="_") == Meaning(target, of_guide=True)


def test_guides_of_doubles_are_cut_off_too():
    assert means("STAT1_2_KLF1_1", separator="_") == Meaning("KLF1+STAT1", of_guide=True)
    assert means("STAT1_2+KLF1_1") == Meaning("KLF1+STAT1", of_guide=True)


@pytest.mark.parametrize(
    "label", ["HLA-A", "NKX2-1", "H3-3B", "AC118549.1", "STAT1", "ABC12", "ATM2", "SEC-3", "KRT5-1"]
)
def test_a_symbol_is_not_cut(label: str):
    assert means(label) == Meaning(label)


def test_a_symbol_that_is_known_and_not_measured_is_not_cut():
    names = GeneSymbols(pd.DataFrame({"gene_name": ["STAT1-2"], "ensembl_id": ["ENSG00000000001"]}), (), ())
    assert read_labels(["STAT1-2"], Layout(), genes(names))["STAT1-2"] == Meaning("STAT1-2")


def test_numbers_behind_a_word_that_is_no_gene_are_no_guides():
    few, many = ([f"sgRNA_{number}" for number in range(n)] for n in (MOST_GUIDES, MOST_GUIDES + 1))
    assert {meaning.target for meaning in read_labels(few, Layout(), genes()).values()} == {"sgRNA"}
    assert [meaning.target for meaning in read_labels(many, Layout(), genes()).values()] == many


def test_another_name_of_a_measured_gene_becomes_the_measured_one():
    table = pd.DataFrame({"gene_name": ["MAP3K21", "KIAA1804", "MLK4"], "ensembl_id": ["ENSG00000143674"] * 3})
    meanings = read_labels(["KIAA1804", "MLK4_2", "MAP3K21"], Layout(), genes(GeneSymbols(table, ["MAP3K21"], ())))
    assert [meaning.target for meaning in meanings.values()] == ["MAP3K21"] * 3


def test_ids_become_symbols():
    var = pd.DataFrame({"id": ["ENSG00000115415.4", "ENSG00000105610"]}, index=["STAT1", "KLF1"])
    layout = Layout(ensembl="id", target_ids=True)
    meanings = read_labels(
        ["ENSG00000115415", "ENSG00000105610.2", "ENSG00000000007"], layout, harmonise_genes(var, layout)
    )
    assert [meaning.target for meaning in meanings.values()] == ["STAT1", "KLF1", "ENSG00000000007"]


@pytest.mark.parametrize("label", ["", "nan", "NA", "None"])
def test_a_cell_without_a_label_is_left_out(label: str):
    assert means(label) == Meaning(None, why_out="without a label")


def test_what_the_layout_drops_goes_before_all_else():
    assert means("ctrl", drop=("ctr*",)) == Meaning(None, why_out="labelled 'ctrl'")
    assert means("STAT1", drop=("[*]", "SPI1")).target == "STAT1"
    assert means("*", drop=("[*]",)).target is None


def test_compounds_are_not_taken_apart():
    for label in ("(+)-JQ1", "Trametinib (GSK1120212) ", "S_1", "ctrl"):
        assert means(label, kind="compound", separator="_") == Meaning(label.strip())
    assert means("Vehicle", kind="compound", control=("vehicle", "Vehicle")).target == "non-targeting"
