import json
import warnings
from pathlib import Path

import anndata
import numpy as np
import pytest
import scipy.sparse

from data_scripts.download import DownloadError
from data_scripts.screens import papalexi as builder
from starter.data import dataset
from starter.data.course import CourseData
from starter.data.rules import check_screen
from starter.data.split import PARTS, read_split
from starter.files import sha256
from starter.schema import CONTROL


def test_it_equals_the_published_cells_one_by_one(papalexi: Path, vcc_data: Path):
    ours = anndata.read_h5ad(papalexi / "papalexi_thp1.h5ad")
    theirs = anndata.read_h5ad(vcc_data / "papalexi_thp1" / "papalexi_thp1_299genes.h5ad")
    assert theirs.shape == (20_729, 299)
    assert int(theirs.obs["singlet_guide"].sum()) == 16_192
    theirs = theirs[theirs.obs["singlet_guide"] & (theirs.obs["target_gene"] != "SPI1")]
    assert ours.shape == theirs.shape == (16_159, 299)
    assert list(ours.obs_names) == list(theirs.obs_names)
    assert list(ours.var_names) == list(theirs.var_names)
    assert (ours.X != theirs.X).nnz == 0
    pairs = {"target_gene": "target_gene", "n_umis": "n_umis_total", "guide_id": "guide", "batch": "bio_rep"}
    np.testing.assert_allclose(ours.obs["percent_mito"], 100 * theirs.obs["p_mito"], rtol=1e-12)
    for name, their_name in pairs.items():
        assert ours.obs[name].astype(str).tolist() == theirs.obs[their_name].astype(str).tolist(), name


def test_it_is_a_course_data_set(papalexi: Path):
    screen = dataset.read_screen(papalexi / "papalexi_thp1.h5ad")
    assert check_screen(screen) == []
    assert len(dataset.perturbations(screen)) == 24
    assert int((screen.obs["target_gene"] == CONTROL).sum()) == 1_923
    assert not bool(screen.uns["course"]["simulated"])
    assert screen.uns["course"]["target_sum"] == 12_265


def test_the_split_is_the_recommended_one(papalexi: Path):
    split = read_split(papalexi / "papalexi_thp1.split.json")
    named = {part: set(split.pairs(part).get_level_values("perturbation")) for part in PARTS}
    assert named["hidden"] == {"JAK2", "IFNGR2", "IRF1", "BRD4", "STAT2", "STAT5A", "ETV7"}
    assert named["public"] == {"IFNGR1", "CUL3", "CAV1"}
    assert "STAT1" in named["train"]
    assert len(named["train"]) == 14


def test_cells_with_ten_percent_mitochondrial_umis_were_left_out_by_the_authors(papalexi: Path):
    percent = anndata.read_h5ad(papalexi / "papalexi_thp1.h5ad").obs["percent_mito"]
    assert 9.9 < percent.max() < 10
    assert percent.median() == pytest.approx(3.4, abs=0.1)


def test_what_is_known_of_its_genes_is_there(papalexi: Path):
    tables = {path.name for path in (papalexi / "priors").glob("*.tsv")}
    assert tables == {"go_annotations.tsv", "reactome_pathways.tsv", "dorothea_regulons.tsv", "string_graph.tsv"}
    course = CourseData(papalexi)
    for pattern in ("*annotations.tsv", "*pathways.tsv", "*regulons.tsv", "*graph.tsv"):
        assert course.priors(pattern).is_file()


def test_building_again_gives_the_same_file(papalexi: Path, tmp_path: Path):
    assert sha256(builder.build(tmp_path)) == sha256(papalexi / "papalexi_thp1.h5ad")


def test_the_lineage_names_inputs_choices_and_code(papalexi: Path):
    lineage = json.loads((papalexi / "papalexi_thp1.h5ad.lineage.json").read_text())
    assert lineage["output"]["sha256"] == sha256(papalexi / "papalexi_thp1.h5ad")
    assert [entry["name"] for entry in lineage["inputs"]] == [
        "lowmoi_example_data.rda", "covariate_data_frame_lowmoi.rda",
    ]  # fmt: skip
    assert lineage["inputs"][0]["sha256"].startswith("e3f8ad09")
    assert lineage["parameters"]["min_guide_umis"] == 5
    assert lineage["parameters"]["min_guide_share"] == 0.8
    assert lineage["parameters"]["dropped"] == ["SPI1"]
    assert lineage["code"]["name"] == "papalexi.py"
    assert "Papalexi" in lineage["data_sets"][0]["citation"]


def test_a_cells_guide_is_its_top_one():
    counts = scipy.sparse.csr_matrix(np.array([[0, 8, 2], [3, 3, 0], [0, 0, 0], [4, 0, 1]]))
    guide, n_top, share = builder.call_guides(counts)
    assert guide.tolist()[:2] + guide.tolist()[3:] == [1, 0, 0]
    assert n_top.tolist() == [8, 3, 0, 4]
    np.testing.assert_allclose(share, [0.8, 0.5, 0, 0.8])


def test_damaged_source_files_are_refused(vcc_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    raw = tmp_path / "papalexi_thp1" / "raw"
    raw.mkdir(parents=True)
    for path in (vcc_data / "papalexi_thp1" / "raw").iterdir():
        (raw / path.name).write_bytes(path.read_bytes())
    (raw / "lowmoi_example_data.rda").write_bytes((raw / "lowmoi_example_data.rda").read_bytes()[:-100])
    monkeypatch.setenv("VCC_DATA", str(tmp_path))
    with pytest.raises(
        DownloadError, match="it has 1,358,167 bytes and should have 1,358,267; replace it, or unset VCC_DATA"
    ):
        builder.build(tmp_path / "out")
    assert not (tmp_path / "out" / "papalexi_thp1.h5ad").exists()


def test_it_warns_of_nothing(vcc_data: Path, tmp_path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        builder.build(tmp_path)
