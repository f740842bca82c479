"""PerturBench's splits, against what altoslabs/perturbench (commit c84038b) gave on 2026-11-29."""

import hashlib
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from simulated_perturbench import simulated_obs

from data_scripts.perturbench.splits import (
    Labels,
    course_split,
    split_combinations,
    split_inverse,
    split_manual,
    split_transfer,
)
from starter.data.split import read_split
from starter.errors import InputError

DUE = {
    # cells in train, val and test, and the first digits of the SHA-256 of all cells' lines
    "devel": {
        "transfer": ((4556, 664, 741), "d1db1c89e5a20b8c"),
        "transfer, one": ((4945, 479, 537), "8c23bdd8b1115cd7"),
        "combine": ((5361, 300, 300), "681f3c71d5b50c50"),
        "inverse": ((4831, 480, 650), "78b52e585ecc5661"),
        "manual": ((2987, 1479, 1495), "570bdc96a9ebeab6"),
    },
    "simulated": {
        "transfer": ((613, 149, 143), "f2fce14b4dbbb7da"),
        "transfer, one": ((636, 115, 154), "767d1c7e4f465407"),
        "combine": ((748, 76, 81), "e339b04a0d94f65c"),
        "inverse": ((677, 123, 105), "3669858916776155"),
        "manual": ((696, 111, 98), "80016c117df3e6c0"),
    },
}
SPLITS = {
    "transfer": lambda labels, held_out: split_transfer(labels),
    "transfer, one": lambda labels, held_out: split_transfer(labels, seed=42, max_held_out_covariates=1),
    "combine": lambda labels, held_out: split_combinations(labels, seed=42),
    "inverse": lambda labels, held_out: split_inverse(labels),
    "manual": lambda labels, held_out: split_manual(labels, held_out, seed=0),
}


@pytest.mark.parametrize("screen", DUE)
@pytest.mark.parametrize("kind", SPLITS)
def test_every_cell_is_in_the_part_that_perturbench_gives_it(screen: str, kind: str, request: pytest.FixtureRequest):
    if screen == "devel":
        folder: Path = request.getfixturevalue("vcc_data")
        obs, held_out = anndata.read_h5ad(folder / "perturbench_mini" / "devel.h5ad").obs, [("A172",), ("k562",)]
    else:
        obs, held_out = simulated_obs(), [("b",)]
    before = obs.copy()
    parts = SPLITS[kind](Labels(obs), held_out)
    lines = "".join(f"{cell} {part}\n" for cell, part in parts.fillna("none").items())
    counts = tuple(int((parts == part).sum()) for part in ("train", "val", "test"))
    assert (counts, hashlib.sha256(lines.encode()).hexdigest()[:16]) == DUE[screen][kind]
    pd.testing.assert_frame_equal(obs, before)


def test_with_two_covariates_pairs_are_held_out_whole_and_the_same_each_time():
    labels = Labels(simulated_obs(), covariates=("cell_type", "treatment"))
    for split in (split_transfer, split_combinations, split_inverse):
        parts = split(labels)
        cells = labels.obs.assign(part=parts.fillna("none"))
        cells = cells[cells["condition"] != "control"]
        assert cells.groupby(["condition", "cell_type", "treatment"], observed=True)["part"].nunique().max() == 1
        assert set(parts.dropna()) == {"train", "val", "test"}
        assert parts.equals(split(labels))


def test_what_is_held_out_is_what_the_name_says():
    labels = Labels(simulated_obs())
    obs = labels.obs
    held = {split: obs[split(labels).isin(["val", "test"]) & (obs["condition"] != "control")] for split in (
        split_combinations, split_inverse, split_transfer
    )}  # fmt: skip
    assert held[split_combinations]["condition"].str.contains("+", regex=False).all()
    singles = held[split_inverse].groupby("cell_type", observed=True)["condition"].unique()
    assert not held[split_inverse]["condition"].str.contains("+", regex=False).any()
    for line, names in singles.items():
        here = obs.loc[obs["cell_type"] == line, "condition"].unique()
        assert not any(set(name.split("+")) <= set(names) for name in here if "+" in name)
    kept = obs[split_transfer(labels) == "train"]
    assert set(held[split_transfer]["condition"]) <= set(kept["condition"])  # seen in another line


def test_controls_are_drawn_half_a_quarter_a_quarter():
    labels = Labels(simulated_obs())
    parts = split_combinations(labels)[labels.obs["condition"] == "control"]
    n = len(parts)
    assert parts.value_counts().to_dict() == {
        "train": n // 2, "val": int(0.75 * n) - n // 2, "test": n - int(0.75 * n)
    }  # fmt: skip


def test_the_courses_split_has_pairs_in_its_own_words(tmp_path: Path):
    labels = Labels(simulated_obs(), covariates=("cell_type", "treatment"))
    parts = split_transfer(labels)
    course_split(labels, parts).write(tmp_path / "split.json")
    table = read_split(tmp_path / "split.json").table
    obs = labels.obs.assign(part=parts)
    for (context, perturbation), row in table.iterrows():
        line, treatment = context.split(" + ")
        cells = obs[(obs["condition"] == perturbation) & (obs["cell_type"] == line) & (obs["treatment"] == treatment)]
        assert len(cells) == row["n_cells"]
        assert {"train": "train", "val": "public", "test": "hidden"}[cells["part"].iloc[0]] == row["part"]
    named = obs[(obs["condition"] != "control") & obs["part"].notna()]
    assert len(table) == len(named[["condition", "cell_type", "treatment"]].drop_duplicates())
    torn = parts.copy()
    torn.iloc[np.flatnonzero(obs["condition"] == table.index[0][1])[0]] = "other"
    with pytest.raises(InputError, match="cells of one pair are in several parts"):
        course_split(labels, torn)


def test_what_cannot_be_split_is_refused():
    obs = simulated_obs()
    with pytest.raises(InputError, match="the cells have no column line; they have condition, cell_type, treatment"):
        split_transfer(Labels(obs, covariates=("line",)))
    with pytest.raises(InputError, match="no cell of the column condition is 'ctrl'; name the control's label"):
        split_transfer(Labels(obs, control="ctrl"))
    with pytest.raises(InputError, match=r"no cell has the covariate e; the screen has c, a, d, b"):
        split_manual(Labels(obs), [("e",)])
    singles = obs[~obs["condition"].str.contains("+", regex=False)]
    with pytest.raises(InputError, match="only 0 pairs can be held out, too few for val and test"):
        split_combinations(Labels(singles))
