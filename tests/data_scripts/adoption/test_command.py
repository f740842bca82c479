import os
import shlex
from pathlib import Path

import anndata
import elsewhere
import numpy as np
import pytest
import typer.testing

from data_scripts.__main__ import app
from starter.data.dataset import read_screen

LABELS = ["control", "STAT1_KLF1", "STAT1", "HLA-A", "NKX2-1_SPI1", "KLF1"] * 30


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VCC_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def adopt(*arguments: object):
    return typer.testing.CliRunner().invoke(app, ["adopt", *map(str, arguments)])


def test_without_an_answer_nothing_is_written_and_the_command_is_shown():
    made = elsewhere.scperturb(Path("my screen.h5ad"), LABELS)
    shown = adopt(made.path, "--context", "cell_line", "--drop", "KLF1", "--title", "a title")
    assert shown.exit_code == 1
    assert os.listdir() == ["my screen.h5ad"]
    command = shlex.split(shown.stdout.splitlines()[-1])
    assert command[:5] == ["python", "-m", "data_scripts", "adopt", "my screen.h5ad"]
    done = adopt(*command[4:])
    assert done.exit_code == 0, done.output
    screen = read_screen("screens/my screen/my screen.h5ad")
    taken = np.array(LABELS) != "KLF1"
    np.testing.assert_array_equal(screen.X.toarray(), made.counts[taken])
    assert screen.uns["course"]["title"] == "a title"
    assert sorted(os.listdir("screens/my screen")) == [
        "my screen.h5ad", "my screen.h5ad.lineage.json", "my screen.report.json",
    ]  # fmt: skip


def test_it_shows_what_it_took_and_what_to_write_into_course_toml():
    made = elsewhere.scperturb(Path("a.h5ad"), LABELS)
    done = adopt(made.path, "--out", "b/c.h5ad", "--yes", "--drop", "KLF1")
    assert "│ doubles       │ 2" in done.stdout
    assert "150 cells x 52 genes of 180 cells: 4 perturbations, 30 controls" in done.stdout
    assert "left out: 30 cells, labelled 'KLF1'" in done.stdout
    assert '[data]\nscreen = "b/c.h5ad"\nhidden = 1 ' in done.stdout
    assert "python -m data_scripts priors --genes b/c.h5ad --out b/priors" in done.stdout


def test_none_means_that_the_file_has_none():
    made = elsewhere.scperturb(Path("a.h5ad"), LABELS)
    adopt(made.path, "--yes", "--out", "b.h5ad", "--context", "none", "--n-umis", "none", "--percent-mito", "none")
    screen = read_screen("b.h5ad")
    assert list(screen.obs) == ["target_gene", "n_umis"]
    assert screen.obs["n_umis"].tolist() == made.counts.sum(axis=1).tolist()


def test_the_file_that_is_read_is_not_written():
    made = elsewhere.scperturb(Path("a.h5ad"), LABELS)
    before = made.path.read_bytes()
    failed = adopt(made.path, "--out", "./a.h5ad", "--yes")
    assert "a.h5ad is the file that is read; give the new one another name" in str(failed.exception)
    assert made.path.read_bytes() == before


def test_a_file_of_the_catalogue_is_recognised_by_its_name():
    made = elsewhere.scperturb(Path("NormanWeissman2019_filtered.h5ad"), LABELS)
    shown = adopt(made.path)
    assert shown.stdout.startswith("a file of this name is in the catalogue: python -m data_scripts build norman2019")
    assert not adopt(elsewhere.scperturb(Path("a.h5ad"), LABELS).path).stdout.startswith("a file")


def test_files_of_r_are_refused_with_the_way_out():
    for name, way_out in (
        ("lowmoi_example_data.rda", "has its own builder: python -m data_scripts papalexi"),
        (
            "Seurat_object.rds.gz",
            "in R, write it with anndataR::write_h5ad or zellkonverter::writeH5AD, and adopt that",
        ),
    ):
        Path(name).write_bytes(b"BZh9")
        assert way_out in str(adopt(name).exception)


def test_the_real_screen_is_that_of_its_builder(vcc_data_before: Path, papalexi: Path):
    source = vcc_data_before / "papalexi_thp1" / "papalexi_thp1_299genes.h5ad"
    done = adopt(source, "--keep", "singlet_guide", "--drop", "SPI1", "--out", "thp1.h5ad", "--yes")
    assert done.exit_code == 0, done.output
    ours, built = read_screen("thp1.h5ad"), anndata.read_h5ad(papalexi / "papalexi_thp1.h5ad")
    assert (ours.X != built.X).nnz == 0
    assert list(ours.var_names) == list(built.var_names)
    assert ours.uns["course"]["target_sum"] == built.uns["course"]["target_sum"]
    for column in built.obs:
        if column == "percent_mito":
            np.testing.assert_allclose(ours.obs[column], built.obs[column], rtol=1e-12)
        else:
            assert ours.obs[column].astype(str).tolist() == built.obs[column].astype(str).tolist(), column


def test_of_several_contexts_one_must_be_taken():
    made = elsewhere.scperturb(
        Path("a.h5ad"), LABELS, perturbation_2=["stimulated", "rest", "rest", "stimulated", "rest"] * 36
    )
    both = adopt(made.path, "--yes")
    assert "2 contexts: rest, stimulated" in both.stdout
    assert (
        "a course is graded in one context, and this has 2: for a course, adopt the cells of one with --keep"
        in both.stdout
    )
    one = adopt(made.path, "--yes", "--keep", "perturbation_2=rest")
    assert 'screen = "screens/a/a.h5ad"' in one.stdout
    assert set(read_screen("screens/a/a.h5ad").obs["context"]) == {"rest"}
