"""GEARS' split and groups, against what cell-gears 0.1.2 gave on 2026-11-29."""

import hashlib
from collections import Counter

import pytest
from simulated_perturbench import simulated_obs

from data_scripts.perturbench.seen import seen_group, split_gears
from starter.errors import InputError

DUE = {
    1: ((17, 4, 16), (1, 8, 1, 6), "1ed4c04de5c8f173"),
    42: ((21, 3, 13), (0, 5, 2, 6), "0ef1423f29c6b6d6"),
}
"""Seed to perturbations in train, val and test, those of test by group, and a hash of all."""


def test_groups_by_hand():
    assert seen_group("A", ["B"]) == "unseen_single"
    assert seen_group("A", ["A", "B"]) == "seen_single"
    assert seen_group("A+C", ["B", "D"]) == "combo_seen0"
    assert seen_group("A+C", ["C", "D"]) == "combo_seen1"
    assert seen_group("A+C", ["C", "A", "B"]) == "combo_seen2"


@pytest.mark.parametrize("seed", DUE)
def test_the_split_is_that_of_gears(seed: int):
    names = sorted(set(simulated_obs()["condition"]) - {"control"})
    parts, groups = split_gears(names, seed)
    lines = "".join(f"{name} {parts[name]} {groups.get(name, 'none')}\n" for name in names)
    counts = Counter(parts.values())
    of_test = Counter(group for name, group in groups.items() if parts[name] == "test")
    found = (
        tuple(counts[part] for part in ("train", "val", "test")),
        tuple(of_test[group] for group in ("combo_seen0", "combo_seen1", "combo_seen2", "unseen_single")),
        hashlib.sha256(lines.encode()).hexdigest()[:16],
    )
    assert found == DUE[seed]
    assert split_gears(names[::-1], seed) == (parts, groups)


def test_no_held_out_single_was_seen():
    names = sorted(set(simulated_obs()["condition"]) - {"control"})
    parts, groups = split_gears(names)
    seen = {target for name, part in parts.items() if part == "train" for target in name.split("+")}
    assert not {name for name, group in groups.items() if group == "unseen_single"} & seen
    with pytest.raises(InputError, match="a perturbation stands twice"):
        split_gears([*names, names[3]])
