import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.stats

from autograder.course import Course, read_course
from autograder.release.data import release_data
from autograder.release.soundness import check_cells, check_split, check_truth, find_leaks, needed_by_sections
from starter.data.dataset import write_screen
from starter.data.split import Split, make_split
from starter.errors import FindingsError
from starter.scoring.truth.build import build_truth

GENES = [f"G{number}" for number in range(60)]
ABOUT = {"name": "made", "title": "made up", "organism": "none", "licence": "CC0 1.0", "source": "not stated",
         "citation": "not stated", "simulated": False, "target_sum": 300.0}  # fmt: skip


def split_of(**parts: str) -> Split:
    rows = [("one context", label, part, 9) for part, labels in parts.items() for label in labels.split()]
    table = pd.DataFrame(rows, columns=["context", "perturbation", "part", "n_cells"])
    return Split(table.set_index(["context", "perturbation"]))


@pytest.mark.parametrize(
    ("train", "hidden", "gene"),
    [
        ("ZAP70_1 LAT", "ZAP70_2", "ZAP70"),
        ("ZAP70_g1 LAT", "ZAP70", "ZAP70"),
        ("G5-1", "G5-2", "G5"),
        ("G5g1", "G5sg2", "G5"),
        ("G5", "G5.2", "G5"),
        ("LAT_1+ZAP70_2", "ZAP70_1+LAT_2", "LAT+ZAP70"),
        ("A+B", "B+A", "A+B"),
        ("LAT+ctrl", "LAT", "LAT"),
    ],
)
def test_labels_of_one_gene_in_two_parts_are_a_leak(train: str, hidden: str, gene: str):
    found = find_leaks(split_of(train=train, public="other", hidden=hidden), GENES)
    labels = {label: "train" for label in train.split() if label != "LAT" or gene == "LAT"} | {hidden: "hidden"}
    assert found == {gene: labels}


@pytest.mark.parametrize(
    ("train", "hidden"),
    [
        ("NKX2-1", "NKX2-5"),  # NKX2 is no gene
        ("STAT1", "STAT2"),
        ("G5", "G51"),
        ("LAT", "LAT+ZAP70"),
        ("HLA-A", "HLA-B"),
        ("G1_1 G1_2", "G2_1 G2_2"),
    ],
)
def test_other_genes_in_two_parts_are_none(train: str, hidden: str):
    assert find_leaks(split_of(train=train, hidden=hidden), GENES) == {}


def test_a_measured_gene_is_no_guide_of_another():
    assert find_leaks(split_of(train="G5", hidden="G5-1"), [*GENES, "G5-1"]) == {}
    assert list(find_leaks(split_of(train="G5", hidden="G5-1"), GENES)) == ["G5"]


def test_a_leak_is_an_error_of_genes_alone():
    split = split_of(train="ZAP70_1 LAT_1", hidden="ZAP70_2 LAT_2")
    screen = anndata.AnnData(var=pd.DataFrame(index=GENES), uns={"course": dict(ABOUT)})
    (finding,) = check_split(split, screen)
    assert finding.level == "error"
    assert str(finding).startswith(
        "2 genes with labels in several parts of the split, so the hidden effect is known: ZAP70_1 (train) and ZAP70_2 "
        "(hidden), LAT_1 (train) and LAT_2 (hidden); label cells by gene, with the guide in obs['guide_id']"
    )
    screen.uns["course"]["perturbation_kind"] = "compound"
    assert check_split(split, screen) == []


def screen_of(**columns: object) -> anndata.AnnData:
    obs = pd.DataFrame({"target_gene": pd.Categorical(["non-targeting", "G1", "G1", "G2"]), "guide_id": "g",
                        "batch": "b", **columns}, index=list("abcd"))  # fmt: skip
    return anndata.AnnData(obs=obs, var=pd.DataFrame(index=GENES), uns={"course": dict(ABOUT, simulated=True)})


@pytest.fixture
def no_stage(tmp_path: Path) -> Course:
    (tmp_path / "course.toml").write_text('[course]\nname = "c"\n')
    return read_course(tmp_path)


def said(findings: list) -> list[tuple[str, str]]:
    return [(finding.level, finding.what) for finding in findings]


def test_contexts_and_doses_that_are_pooled(no_stage: Course):
    lines = ["K562", "RPE1", "K562", "K562"]
    assert said(check_cells(screen_of(Cell_Line=lines), no_stage, [])) == [
        ("warning", "obs['Cell_Line'] holds K562, RPE1, and the screen has no obs['context']: these are pooled")
    ]
    assert check_cells(screen_of(cell_line=lines, context="a"), no_stage, []) == []
    assert check_cells(screen_of(cell_line="K562"), no_stage, []) == []
    assert said(check_cells(screen_of(dose=[0, 1.0, 10.0, 1.0]), no_stage, [])) == [
        ("warning", "1 perturbation of several doses, which are pooled: G1")
    ]


def notebook(path: Path, *cells: tuple[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = {"m": "markdown", "c": "code"}
    content = [{"cell_type": kinds[kind], "source": source.splitlines(keepends=True)} for kind, source in cells]
    path.write_text(json.dumps({"cells": content}))


NEEDS = (
    ("c", "from starter.schema import BATCH, GUIDE"),
    ("m", "# Title\ntext"),
    ("m", "## 1 Which cells?\ntext"),
    ("c", "x = obs[GUIDE]"),
    ("c", "y = obs[GUIDE].unique(), obs[BATCH]"),
    ("m", "## 2 What is known?"),
    ("c", 'g = read(course.priors("*graph.tsv"))'),
    ("c", 'if course.has_prior("*other.parquet"):\n    o = read(course.priors("*other.parquet"))'),
    ("m", "## 3 Batches?"),
    ("c", "b = obs[BATCH] if BATCH in obs else None"),
)


def test_what_sections_of_a_notebook_need(tmp_path: Path):
    notebook(tmp_path / "n.ipynb", *NEEDS)
    assert needed_by_sections(tmp_path / "n.ipynb") == {
        "1 Which cells?": ["guide_id", "batch"], "2 What is known?": ["*graph.tsv"],
    }  # fmt: skip


def test_sections_with_cells_that_are_left_out_are_named(tmp_path: Path):
    notebook(tmp_path / "solutions" / "02_data" / "02_data.ipynb", *NEEDS)
    (tmp_path / "course.toml").write_text('[course]\nname = "c"\n[stages.02_data]\ntitle = "x"\n')
    course = read_course(tmp_path)
    screen = screen_of()
    assert check_cells(screen, course, ["simulated_graph.tsv"]) == []
    del screen.obs["guide_id"]
    assert said(check_cells(screen, course, ["regulons.tsv"])) == [
        (
            "warning",
            "the screen has no obs['guide_id'], so cells of these sections are left out: 02_data '1 Which cells?'",
        ),
        (
            "warning",
            "[data] priors has no *graph.tsv, so cells of these sections are left out: 02_data '2 What is known?'",
        ),
    ]


@pytest.mark.parametrize(
    ("source", "simulated", "graded", "level"),
    [
        ("GEO GSE153056", False, True, "warning"),
        ("https://zenodo.org/records/7041849", False, True, "warning"),
        ("Weissman lab, figshare+ 20029387", False, True, "warning"),
        ("our own cells, not published", False, True, None),
        ("not stated", False, True, "note"),
        ("GEO GSE153056", True, True, None),
        ("GEO GSE153056", False, False, None),
    ],
)
def test_a_public_screen_is_no_secret(tmp_path: Path, source: str, simulated: bool, graded: bool, level: str | None):
    notebook(tmp_path / "solutions" / "04_x" / "04_x.ipynb")
    (tmp_path / "course.toml").write_text(
        '[course]\nname = "c"\n[stages.04_x]\ntitle = "x"\n' + ("prediction = {}\n" if graded else "")
    )
    screen = screen_of()
    screen.uns["course"] |= {"source": source, "simulated": simulated}
    findings = check_cells(screen, read_course(tmp_path), [])
    assert [finding.level for finding in findings] == ([level] if level else [])
    if level == "warning":
        assert f"the screen is public ({source}): whoever downloads it has the hidden cells that 04_x grades" in str(
            findings
        )


SILENT = ("G10", "G11", "G12", "G13")
HIDDEN = (*SILENT, "G0", "G1", "G2")


def made(path: Path, *, strength: float, seed: int = 0) -> anndata.AnnData:
    """A screen in which `HIDDEN` but `SILENT` and G3 to G9 change 12 genes, and each lowers its own."""
    rng = np.random.default_rng(seed)
    mean = rng.lognormal(1.2, 0.6, len(GENES))
    labels = ["non-targeting"] * 150 + [gene for gene in (*GENES[:14],) for _ in range(40)]
    factors = np.ones((len(labels), len(GENES)))
    for row, label in enumerate(labels):
        if label == "non-targeting":
            continue
        number = int(label[1:])
        factors[row, number] = 0.1
        if label not in SILENT:
            changed = (20 + 3 * number + np.arange(12)) % 46 + 14
            factors[row, changed] *= np.exp(strength * (-1.0) ** np.arange(12))
    counts = scipy.sparse.csr_matrix(rng.poisson(mean * factors).astype(np.float32))
    obs = pd.DataFrame({"target_gene": pd.Categorical(labels)}, index=[f"c{row}" for row in range(len(labels))])
    write_screen(path, [counts], obs, pd.DataFrame(index=GENES), ABOUT)
    return anndata.AnnData(counts, obs, pd.DataFrame(index=GENES))


def truth_of(tmp_path: Path, adata: anndata.AnnData):
    split = make_split(adata, HIDDEN, ("G9",))
    split.write(tmp_path / "split.json")
    screen = tmp_path / "screen.h5ad"
    return build_truth(
        screen, tmp_path / "truth", split=tmp_path / "split.json", part="hidden", train=screen, rule_set="course"
    )


def unchanged(adata: anndata.AnnData) -> list[str]:
    """Hidden perturbations without a gene but their own at 5 % FDR, by SciPy."""
    counts = adata.X.toarray()
    logs = np.log1p(300 * counts / counts.sum(axis=1, keepdims=True))
    control = logs[(adata.obs["target_gene"] == "non-targeting").to_numpy()]
    found = []
    for name in sorted(HIDDEN):
        cells = logs[(adata.obs["target_gene"] == name).to_numpy()]
        fdr = scipy.stats.false_discovery_control(scipy.stats.mannwhitneyu(cells, control).pvalue)
        fdr[GENES.index(name)] = 1
        if (fdr >= 0.05).all():
            found.append(name)
    return found


def test_perturbations_that_change_nothing_and_too_few_are_said(tmp_path: Path):
    adata = made(tmp_path / "screen.h5ad", strength=1.2)
    silent = unchanged(adata)
    assert sorted(silent) == sorted(SILENT)
    few, weak, *more = check_truth(truth_of(tmp_path, adata))
    assert (few.level, few.what) == ("warning", "7 hidden perturbations: scores have no interval below 10")
    assert weak.level == "warning"
    assert weak.what == (
        "4 of 7 hidden perturbations (57 %) change no gene but their own at their number of cells (DE at 5 % FDR): "
        "G10, G11, G12, G13"
    )
    assert all("overall" not in str(finding) for finding in more)


def test_a_screen_on_which_nothing_can_be_scored(tmp_path: Path):
    adata = made(tmp_path / "screen.h5ad", strength=0.0)
    findings = [str(finding) for finding in check_truth(truth_of(tmp_path, adata))]
    assert any("of 7 hidden perturbations (100 %) change no gene but their own" in finding for finding in findings)
    assert any("scored metrics are not graded on this screen, since a replicate" in finding for finding in findings)


def test_release_refuses_a_leak_and_says_the_rest(tmp_path: Path):
    adata = made(tmp_path / "screen.h5ad", strength=1.2)
    labels = adata.obs["target_gene"].astype(str)
    doubled = [f"ZAP70_{row % 2 + 1}" if label == "G0" else label for row, label in enumerate(labels)]
    obs = pd.DataFrame({"target_gene": pd.Categorical(doubled)}, index=adata.obs_names)
    write_screen(tmp_path / "screen.h5ad", [adata.X], obs, adata.var, {**ABOUT, "source": "GEO GSE1"})
    hidden = ["ZAP70_1", "G1", "G10", *(f"G{number}" for number in range(4, 12) if number != 10)]
    (tmp_path / "course.toml").write_text(
        f'[course]\nname = "c"\n[data]\nscreen = "screen.h5ad"\nhidden = {hidden}\npublic = ["G2"]\n'
    )
    course = read_course(tmp_path)
    message = r"1 gene with labels in several parts .*: ZAP70_1 \(hidden\) and ZAP70_2 \(train\)"
    with pytest.raises(FindingsError, match=message):
        release_data(course, print)
    assert not course.public_folder.exists()
    lines: list[str] = []
    release_data(course, lines.append, allow=True)
    assert any(line.startswith("warning: 1 gene with labels in several parts") for line in lines)
    assert any(line.startswith("note: 2 of 10 hidden perturbations (20 %) change no gene") for line in lines)
