import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter.data import dataset
from starter.data.course import open_course
from starter.data.split import PARTS, hide_context, make_split, read_split
from starter.errors import FindingsError, InputError, NotThereError
from starter.schema import CONTROL, COURSE_VARIABLE


def test_a_screen_that_breaks_rules_is_refused_with_all_of_them(small_screen: anndata.AnnData, tmp_path: Path):
    small_screen.X.data[:3] = [0.5, -1, np.nan]
    small_screen.obs["target_gene"] = small_screen.obs["target_gene"].astype(str).replace(CONTROL, "ctrl")
    small_screen.write_h5ad(tmp_path / "bad.h5ad")
    with pytest.raises(FindingsError, match="bad.h5ad has 4 faults") as caught:
        dataset.read_screen(tmp_path / "bad.h5ad")
    said = str(caught.value)
    for part in ("NaN", "negative", "whole numbers", "no cell is labelled 'non-targeting'"):
        assert part in said


def test_a_file_that_is_none_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="cannot read .*nothing.h5ad: No such file"):
        dataset.read_screen(tmp_path / "nothing.h5ad")


def test_cells_need_labels_and_controls(small_screen: anndata.AnnData, tmp_path: Path):
    perturbed = small_screen[small_screen.obs["target_gene"] != CONTROL].copy()
    perturbed.write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(InputError, match="no cell is labelled 'non-targeting'; the labels are SIM"):
        dataset.read_screen(tmp_path / "a.h5ad")
    perturbed.obs = perturbed.obs.rename(columns={"target_gene": "gene"})
    perturbed.write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(InputError, match="has no column 'target_gene'; its columns are gene, guide_id, batch, n_umis"):
        dataset.read_screen(tmp_path / "a.h5ad")


def test_a_split_is_by_perturbation_and_keeps_the_controls(small_screen: anndata.AnnData):
    names = dataset.perturbations(small_screen)
    split = make_split(small_screen, names[:5], names[5:8])
    assert [len(split.pairs(part)) for part in PARTS] == [16, 3, 5]
    cells = {part: split.select(small_screen.obs, part) for part in PARTS}
    labels = {part: set(small_screen.obs["target_gene"][chosen]) for part, chosen in cells.items()}
    assert labels["hidden"] == {*names[:5], CONTROL}
    assert labels["train"] & labels["hidden"] == {CONTROL}
    control = (small_screen.obs["target_gene"] == CONTROL).to_numpy()
    assert sum(chosen.astype(int) for chosen in cells.values())[~control].tolist() == [1] * int((~control).sum())
    assert split.n_cells("hidden")[names[0]] == int((small_screen.obs["target_gene"] == names[0]).sum())


def test_a_split_survives_its_file(small_screen: anndata.AnnData, tmp_path: Path):
    names = dataset.perturbations(small_screen)
    split = make_split(small_screen, names[:5], names[5:8])
    split.write(tmp_path / "split.json")
    read = read_split(tmp_path / "split.json")
    assert read.table.to_dict() == split.table.to_dict()


def test_a_split_over_several_contexts_hides_a_perturbation_in_all(small_screen: anndata.AnnData):
    small_screen.obs["context"] = np.where(np.arange(small_screen.n_obs) % 2, "K562", "RPE1")
    names = dataset.perturbations(small_screen)
    split = make_split(small_screen, names[:1], names[1:2])
    assert list(split.pairs("hidden")) == [("K562", names[0]), ("RPE1", names[0])]
    with pytest.raises(InputError, match="the hidden part has several contexts; choose one"):
        split.n_cells("hidden")


@pytest.mark.parametrize(
    ("hidden", "public", "said"),
    [
        (["NOTAGENE"], [], "the screen has no perturbation NOTAGENE; it has SIM"),
        ("first", "first", "cannot be both hidden and public"),
        ("all", [], "no perturbation is left for training"),
    ],
)
def test_a_split_that_makes_no_sense_is_refused(
    small_screen: anndata.AnnData, hidden: object, public: object, said: str
):
    names = dataset.perturbations(small_screen)
    named = {"first": names[:1], "all": names}
    hidden, public = (named[part] if isinstance(part, str) else part for part in (hidden, public))
    with pytest.raises(InputError, match=said):
        make_split(small_screen, hidden, public)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not a split: it needs"),
        ('{"pears": []}', "is not a split"),
        ("[" * 100_000, "is not a split"),
        ("[1]", "is not a split"),
        (
            '{"pairs": [{"context": "x", "perturbation": 7, "part": "train", "n_cells": 3}]}',
            "a context or perturbation is not a name",
        ),
        (
            '{"pairs": [{"context": "x", "perturbation": "A", "part": "train", "n_cells": "3"}]}',
            "n_cells is not a whole number",
        ),
        (
            '{"pairs": [{"context": "x", "perturbation": "A", "part": "secret", "n_cells": 3}]}',
            "has the parts secret; a pair is in train, public, hidden",
        ),
        (
            json.dumps(
                {"pairs": [{"context": "x", "perturbation": "A", "part": p, "n_cells": 3} for p in ("train", "hidden")]}
            ),
            "lists A twice; a pair is in one part only",
        ),
    ],
)
def test_a_damaged_split_is_refused(tmp_path: Path, content: str, said: str):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(InputError, match=said):
        read_split(tmp_path / "split.json")


def test_a_split_of_another_screen_is_refused(small_screen: anndata.AnnData):
    names = dataset.perturbations(small_screen)
    split = make_split(small_screen, names[:2], names[2:3])
    other = small_screen[~small_screen.obs["target_gene"].isin(names[:1])]
    with pytest.raises(InputError, match=f"no cells of {names[0]} .one context., which the split puts in hidden"):
        split.select(other.obs, "hidden")


def test_the_course_is_found_from_a_notebooks_folder(released, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(COURSE_VARIABLE, raising=False)
    monkeypatch.chdir(released.root / "assignments" / "04_baselines")
    course = open_course()
    assert course.folder == released.public_folder
    assert course.train().n_vars == 200
    assert course.priors("*graph.tsv").name == "simulated_graph.tsv"
    with pytest.raises(
        InputError, match=r"should have one file \*.tsv; it has simulated_annotations.tsv, simulated_ge"
    ):
        course.priors("*.tsv")
    with pytest.raises(NotThereError, match=r"data have no table string\* of what is known of genes"):
        course.priors("string*")


def test_a_column_of_cells_is_text_or_not_there(small_screen: anndata.AnnData):
    batch = dataset.column(small_screen, "batch")
    assert batch.tolist() == [str(value) for value in small_screen.obs["batch"]]
    del small_screen.obs["batch"]
    with pytest.raises(NotThereError, match="this screen's cells have no batch"):
        dataset.column(small_screen, "batch")


def test_the_environment_may_name_the_course(released, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(COURSE_VARIABLE, str(released.public_folder))
    assert open_course().folder == released.public_folder


def test_no_course_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv(COURSE_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match=r"no course.toml in .* or above; work in the course's folder, or set VCC_COURSE"
    ):
        open_course()
    with pytest.raises(InputError, match=r"has no train.h5ad and no split.json; unpack the course's data there"):
        open_course(tmp_path)


def of_three_lines() -> anndata.AnnData:
    """Three contexts with four perturbations each, two cells of a pair and a control cell in each."""
    rows = [(line, name) for line in "ABC" for name in (CONTROL, *("TUVW" * 2))]
    obs = pd.DataFrame(rows, columns=["context", "target_gene"], index=[str(row) for row in range(len(rows))])
    return anndata.AnnData(scipy.sparse.csr_matrix(np.ones((len(rows), 2), np.float32)), obs=obs)


def test_a_context_is_hidden_whole_or_but_for_a_few():
    adata = of_three_lines()
    zero = hide_context(adata, "B")
    assert zero.pairs("hidden").tolist() == [("B", name) for name in "TUVW"]
    assert set(zero.pairs("train").get_level_values("context")) == {"A", "C"}
    assert zero.n_cells("hidden") == dict.fromkeys("TUVW", 2)
    few = hide_context(adata, "B", shown=["U"], public=1, seed=3)
    assert ("B", "U") in few.pairs("train")
    assert len(few.pairs("public")) == 1
    assert len(few.pairs("hidden")) == 2
    assert not set(few.pairs("public")) & (set(few.pairs("hidden")) | {("B", "U")})
    # its control cells are kept whatever is hidden
    kept = zero.select(adata.obs, "train")
    assert adata.obs["target_gene"][kept & (adata.obs["context"] == "B").to_numpy()].tolist() == [CONTROL]


@pytest.mark.parametrize(
    ("context", "options", "said"),
    [
        ("D", {}, "'D' cannot be hidden: perturbations were measured in A, B, C"),
        ("B", {"shown": 4}, "B has 4 perturbations, so that none is left to be hidden"),
        ("B", {"shown": 7}, "B has 4 perturbations, so that none is left to be hidden"),
        ("B", {"shown": ["X"]}, "X cannot be shown: not measured in B"),
        ("B", {"shown": ["U"], "public": ["U"]}, "U cannot be public: not measured in B, or in another part"),
    ],
)
def test_a_context_that_cannot_be_hidden_is_refused(context: str, options: dict, said: str):
    with pytest.raises(InputError, match=said):
        hide_context(of_three_lines(), context, **options)


def test_cells_of_a_part_are_counted_in_the_context_named():
    split = make_split(of_three_lines(), ["T"], ["U"])
    assert split.n_cells("hidden", "C") == {"T": 2}
    with pytest.raises(InputError, match="several contexts; choose one of A, B, C"):
        split.n_cells("hidden")
    with pytest.raises(InputError, match="the hidden part has no context 'D'; it has A, B, C"):
        split.n_cells("hidden", "D")
