import json
import re
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter.data import dataset, preprocess, pseudobulk
from starter.data.course import open_course
from starter.errors import InputError
from starter.prediction.check import check_prediction
from starter.schema import CONTROL
from starter.scoring.metrics.rule_sets import get_rule_set
from starter.scoring.scorecard import score_prediction
from starter.scoring.truth import from_logs, opened
from starter.scoring.truth.build import build_truth
from starter.scoring.truth.requirements import requirements_of_truth

COURSE = get_rule_set("course")


@pytest.fixture(scope="session")
def prepared(released) -> opened.Truth:
    return opened.open_truth(released.hidden_folder / "truth")


def test_one_truth_serves_every_rule_set_that_the_screen_allows(prepared: opened.Truth):
    assert list(prepared.about["profiles"]) == ["course", "vcc2025", "vcc2025-final"]
    for name in prepared.about["profiles"]:
        assert prepared.measured(get_rule_set(name)).profiles.shape == (6, 200)
    reason = "they need counts of the whole transcriptome, and REAL has a column 'n_umis', so it holds a part"
    assert prepared.about["left_out"] == {"vcc2026": reason}


def test_the_measured_side_is_the_hidden_cells(prepared: opened.Truth, released):
    hidden = dataset.read_screen(released.hidden_folder / "hidden.h5ad")
    expected = pseudobulk.profiles(hidden).droplevel("context")
    measured = prepared.measured(COURSE)
    assert list(measured.perturbations) == [name for name in expected.index if name != CONTROL]
    np.testing.assert_allclose(measured.profiles, expected.loc[measured.perturbations], atol=1e-6)
    np.testing.assert_allclose(measured.control, expected.loc[CONTROL], atol=1e-6)
    assert measured.n_cells.tolist() == hidden.obs["target_gene"].value_counts().loc[measured.perturbations].tolist()


def test_the_courses_baseline_is_the_unweighted_mean_of_training_profiles(prepared: opened.Truth, released):
    course = open_course(released.public_folder)
    profiles = pseudobulk.profiles(course.train())
    mean = profiles.loc[course.split().pairs("train")].mean()
    measured = prepared.measured(COURSE)
    expected = np.abs(measured.profiles - mean.to_numpy()).mean(axis=1)
    np.testing.assert_allclose(prepared.anchor_scores(COURSE, "baseline")["mae"][0], expected, rtol=1e-5)
    np.testing.assert_allclose(measured.train_mean, mean, atol=1e-6)
    assert prepared.about["profiles"]["course"]["baseline"].startswith("mean of the profiles, of the training")
    assert "(14)" in prepared.about["profiles"]["course"]["baseline"]


def test_the_replicate_is_better_than_the_baseline(prepared: opened.Truth):
    replicate, baseline = (prepared.anchor_scores(COURSE, anchor) for anchor in ("replicate", "baseline"))
    for metric in COURSE.metrics:
        if metric.name in COURSE.scored:
            gain = np.nanmean(replicate[metric.name]) - np.nanmean(baseline[metric.name])
            assert (gain if metric.direction == "higher" else -gain) > 0, metric.name


def test_the_same_inputs_give_the_same_truth(released, prepared: opened.Truth, tmp_path: Path):
    again = build_truth(
        released.hidden_folder / "hidden.h5ad",
        tmp_path / "again",
        split=released.public_folder / "split.json",
        part="hidden",
        train=released.public_folder / "train.h5ad",
        rule_set="course",
    )
    for anchor in ("baseline", "replicate"):
        for name, values in again.anchor_scores(COURSE, anchor).items():
            np.testing.assert_array_equal(values, prepared.anchor_scores(COURSE, anchor)[name], err_msg=name)


def test_a_rule_set_prepared_alone_is_the_one_prepared_with_others(small_path: Path, tmp_path: Path):
    together = build_truth(small_path, tmp_path / "together")
    for name in together.about["profiles"]:
        alone = build_truth(small_path, tmp_path / name, rule_set=name)
        assert list(alone.about["profiles"]) == [name]
        assert alone.about["profiles"][name] == together.about["profiles"][name]
        files = sorted(path.relative_to(alone.folder) for path in alone.folder.rglob("*.npy"))
        assert files == sorted(path.relative_to(together.folder) for path in (together.folder / name).rglob("*.npy"))
        for file in files:
            assert (alone.folder / file).read_bytes() == (together.folder / file).read_bytes(), file


def test_without_the_courses_rules_the_training_cells_give_their_mean_alone(
    released, prepared: opened.Truth, tmp_path: Path
):
    split, train = (released.public_folder / name for name in ("split.json", "train.h5ad"))
    hidden, rules = released.hidden_folder / "hidden.h5ad", get_rule_set("vcc2025")
    alone = build_truth(hidden, tmp_path / "truth", split=split, part="hidden", train=train, rule_set="vcc2025")
    np.testing.assert_array_equal(alone.measured(rules).train_mean, prepared.measured(rules).train_mean)


def test_a_bare_file_of_logs_is_fine(vcc_parity: Path, tmp_path: Path):
    made = build_truth(vcc_parity / "cell_eval" / "real.h5ad", tmp_path / "t")
    assert made.about["train"] is None
    assert re.fullmatch(
        r"log1p expression as given \([\d,]+ cells looked at add up to 2,732 on the natural scale, largest value 6.72, "
        r"56% zeros\)",
        made.about["profiles"]["course"]["scale"],
    )
    assert "the measured perturbations themselves" in made.about["profiles"]["course"]["baseline"]
    assert "thinning" in made.about["profiles"]["course"]["baseline"]


def test_logs_that_hide_no_counts_get_another_baseline_that_is_named(small_screen: anndata.AnnData, tmp_path: Path):
    x = preprocess.expression(small_screen)
    x.data *= np.random.default_rng(0).uniform(0.9, 1.1, x.nnz).astype(np.float32)
    anndata.AnnData(x, small_screen.obs[["target_gene"]], small_screen.var).write_h5ad(tmp_path / "a.h5ad")
    made = build_truth(tmp_path / "a.h5ad", tmp_path / "t", rule_set="course")
    assert "raw counts could not be recovered" in made.about["profiles"]["course"]["baseline"]


def test_bare_counts_take_the_rule_of_each_profile(small_screen: anndata.AnnData, tmp_path: Path):
    counts = anndata.AnnData(small_screen.X, small_screen.obs[["target_gene"]], small_screen.var)
    counts.write_h5ad(tmp_path / "a.h5ad")
    made = build_truth(tmp_path / "a.h5ad", tmp_path / "t")
    totals = np.asarray(counts.X.sum(axis=1)).ravel()
    control = (counts.obs["target_gene"] == CONTROL).to_numpy()
    assert made.about["profiles"]["course"]["scale"] == f"log1p({np.median(totals[control]):,.0f} x count / row sum)"
    assert made.about["profiles"]["vcc2025"]["scale"].endswith("(cell-eval's rule)")
    by_median = made.measured(get_rule_set("vcc2025")).control
    expected = np.asarray(preprocess.log_to_target(counts.X, np.median(totals))[control].mean(axis=0)).ravel()
    np.testing.assert_allclose(by_median, expected, rtol=1e-5, atol=1e-7)


def test_a_profile_that_was_not_prepared_names_the_command(small_path: Path, tmp_path: Path):
    made = build_truth(small_path, tmp_path / "t", rule_set="vcc2025")
    said = (
        f"{tmp_path}/t was prepared for vcc2025, not for course; "
        f"prepare it for all that its data allow: starter truth build simulated_default.h5ad --out {tmp_path}/t"
    )
    with pytest.raises(InputError) as caught:
        made.measured(COURSE)
    assert str(caught.value) == said


def test_a_truth_of_another_version_is_refused(small_path: Path, tmp_path: Path):
    build_truth(small_path, tmp_path / "t", rule_set="vcc2025")
    about = json.loads((tmp_path / "t" / "truth.json").read_text())
    (tmp_path / "t" / "truth.json").write_text(json.dumps(about | {"version": 0}))
    with pytest.raises(
        InputError, match=f"has the layout of version 0, this kit reads version {opened.VERSION}; build the truth again"
    ):
        opened.open_truth(tmp_path / "t")
    with pytest.raises(InputError, match="holds no prepared truth .*; make one with: starter truth build"):
        opened.open_truth(tmp_path)


def test_a_folder_that_is_no_truth_is_never_replaced(small_path: Path, tmp_path: Path):
    (tmp_path / "keep" / "sub").mkdir(parents=True)
    (tmp_path / "keep" / "sub" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="keep is a folder that holds sub, so it is not replaced; choose another name"):
        build_truth(small_path, tmp_path / "keep", rule_set="vcc2025")
    assert (tmp_path / "keep" / "sub" / "thesis.txt").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    assert build_truth(small_path, tmp_path / "empty", rule_set="vcc2025").contexts


def test_a_failed_build_leaves_the_old_truth(small_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    build_truth(small_path, tmp_path / "t", rule_set="vcc2025")

    def broken(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(from_logs, "anchor_scores", broken)
    with pytest.raises(KeyboardInterrupt):
        build_truth(small_path, tmp_path / "t", rule_set="course")
    assert list(opened.open_truth(tmp_path / "t").about["profiles"]) == ["vcc2025"]
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"split": "split.json"}, "--split and --part go together"),
        ({"part": "hidden"}, "--split and --part go together"),
        ({"rule_set": "vcc"}, "there is no profile 'vcc'"),
    ],
)
def test_arguments_that_make_no_sense(small_path: Path, tmp_path: Path, arguments: dict, said: str):
    with pytest.raises(InputError, match=said):
        build_truth(small_path, tmp_path / "t", **arguments)
    assert not (tmp_path / "t").exists()


def test_contexts_are_prepared_one_by_one(small_screen: anndata.AnnData, tmp_path: Path):
    in_k562 = np.arange(small_screen.n_obs) % 2 == 0
    small_screen.obs["context"] = np.where(in_k562, "K562", "RPE1")
    small_screen.write_h5ad(tmp_path / "both.h5ad")
    both = build_truth(tmp_path / "both.h5ad", tmp_path / "both")
    for context, cells in (("K562", in_k562), ("RPE1", ~in_k562)):
        small_screen[cells].copy().write_h5ad(tmp_path / "one.h5ad")
        one = build_truth(tmp_path / "one.h5ad", tmp_path / "one")
        assert both.contexts[context] == one.contexts[context]
        for profile in map(get_rule_set, one.about["profiles"]):
            mine, alone = both.measured(profile, context), one.measured(profile)
            np.testing.assert_array_equal(mine.profiles, alone.profiles)
            np.testing.assert_array_equal(mine.de.p_value, alone.de.p_value)
            replicates = (made.anchor_scores(profile, "replicate", context)["mae"] for made in (both, one))
            np.testing.assert_array_equal(*replicates)


def test_a_context_without_controls_is_refused(small_screen: anndata.AnnData, tmp_path: Path):
    control = (small_screen.obs["target_gene"] == CONTROL).to_numpy()
    small_screen.obs["context"] = np.where(control | (np.arange(small_screen.n_obs) % 2 == 0), "K562", "RPE1")
    small_screen.write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(InputError, match="a.h5ad has no 'non-targeting' cells in the context RPE1"):
        build_truth(tmp_path / "a.h5ad", tmp_path / "t")


def test_a_screen_of_controls_alone_is_refused(small_screen: anndata.AnnData, tmp_path: Path):
    small_screen[small_screen.obs["target_gene"] == CONTROL].copy().write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(InputError, match="only 'non-targeting' cells are left; there is nothing to score"):
        build_truth(tmp_path / "a.h5ad", tmp_path / "t")


def test_real_and_train_must_fit(small_path: Path, small_screen: anndata.AnnData, tmp_path: Path):
    fewer = small_screen[:, 1:].copy()
    fewer.write_h5ad(tmp_path / "fewer.h5ad")
    with pytest.raises(InputError, match="have different genes, or in a different order"):
        build_truth(small_path, tmp_path / "t", train=tmp_path / "fewer.h5ad")
    logs = anndata.AnnData(preprocess.expression(small_screen), small_screen.obs, small_screen.var)
    logs.write_h5ad(tmp_path / "logs.h5ad")
    with pytest.raises(InputError, match="one holds counts and the other logs; give both in the same form"):
        build_truth(small_path, tmp_path / "t", train=tmp_path / "logs.h5ad")
    other = logs.copy()
    other.X.data = np.log1p(np.expm1(other.X.data) / 5)
    other.write_h5ad(tmp_path / "other.h5ad")
    with pytest.raises(
        InputError, match="the control cells of TRAIN, .*other.h5ad, add up to 0.2 times those of REAL, .*logs.h5ad,"
    ):
        build_truth(tmp_path / "logs.h5ad", tmp_path / "t", train=tmp_path / "other.h5ad")


@pytest.mark.parametrize(("value", "said"), [(np.nan, "NaN or infinite values: 1"), (-2, "negative values")])
def test_bad_values_are_refused(small_screen: anndata.AnnData, tmp_path: Path, value: float, said: str):
    small_screen.X.data[0] = value
    small_screen.write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(InputError, match=said):
        build_truth(tmp_path / "a.h5ad", tmp_path / "t")


def test_the_command_that_prepares_all_keeps_how_it_was_made(released, tmp_path: Path):
    folder = released.public_folder
    made = build_truth(
        released.hidden_folder / "hidden.h5ad",
        tmp_path / "t",
        split=folder / "split.json",
        part="hidden",
        train=folder / "train.h5ad",
        rule_set="vcc2025",
    )
    with pytest.raises(
        InputError, match=r"build hidden.h5ad --out .*/t --split split.json --part hidden --train train.h5ad$"
    ):
        made.measured(COURSE)


def test_a_perturbation_with_one_cell_has_no_split_halves(small_screen: anndata.AnnData, tmp_path: Path):
    name = dataset.perturbations(small_screen)[0]
    of_name = np.flatnonzero(small_screen.obs["target_gene"] == name)
    small_screen[np.delete(np.arange(small_screen.n_obs), of_name[1:])].copy().write_h5ad(tmp_path / "a.h5ad")
    made = build_truth(tmp_path / "a.h5ad", tmp_path / "t")
    for profile in map(get_rule_set, made.about["profiles"]):
        assert not np.isnan(made.anchor_scores(profile, "baseline")["mae"]).any()
        undefined = np.isnan(made.anchor_scores(profile, "replicate")["mae"][0])
        assert made.contexts["one context"][0] == name
        assert np.flatnonzero(undefined).tolist() == ([0] if profile.replicate == "plain" else [])


def test_training_perturbations_that_are_scored_are_named(small_path: Path, tmp_path: Path):
    made = build_truth(small_path, tmp_path / "t", train=small_path, rule_set="vcc2025")
    assert len(made.about["train"]["also_scored"]) == 24


def test_a_truth_is_never_written_over_its_own_inputs(small_path: Path, tmp_path: Path):
    screen = tmp_path / "screens" / "real.h5ad"
    screen.parent.mkdir()
    screen.write_bytes(small_path.read_bytes())
    with pytest.raises(InputError, match="real.h5ad lies in .*screens, which is about to be written; choose another"):
        build_truth(screen, screen.parent)
    assert screen.read_bytes() == small_path.read_bytes()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("profiles.npy", lambda path: path.unlink()),
        ("control.npy", lambda path: path.write_bytes(path.read_bytes()[:-8])),
        ("n_cells.npy", lambda path: np.save(path, np.array([{}], dtype=object), allow_pickle=True)),
    ],
)
def test_a_damaged_part_of_a_truth_is_named(
    small_path: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
):
    made = build_truth(small_path, tmp_path / "t", rule_set="vcc2025")
    damage(tmp_path / "t" / "vcc2025" / "0" / name)
    with pytest.raises(InputError, match=f"{name} is damaged or missing .*; build the truth again"):
        made.measured(get_rule_set("vcc2025"))


def test_a_folder_that_is_named_like_a_rule_set_is_no_truth(small_path: Path, tmp_path: Path):
    (tmp_path / "data" / "course").mkdir(parents=True)
    (tmp_path / "data" / "course" / "notes.txt").touch()
    with pytest.raises(InputError, match="data is a folder that holds course, so it is not replaced"):
        build_truth(small_path, tmp_path / "data", rule_set="vcc2025")
    assert (tmp_path / "data" / "course" / "notes.txt").exists()


def test_a_truth_that_lacks_a_part_says_so(small_path: Path, tmp_path: Path):
    made = build_truth(small_path, tmp_path / "t", rule_set="vcc2025")
    np.save(tmp_path / "t" / "vcc2025" / "0" / "profiles.npy", np.ones((2, 3)))
    with pytest.raises(InputError, match="profiles.npy is damaged or missing .its shape is .2, 3., not .24, 200.."):
        made.measured(get_rule_set("vcc2025"))
    (tmp_path / "t" / "truth.json").write_text(json.dumps({"version": opened.VERSION, "genes": []}))
    with pytest.raises(InputError, match="truth.json is damaged .it lacks kit, real, split, train"):
        opened.open_truth(tmp_path / "t")


def test_a_damaged_table_of_anchors_is_named(small_path: Path, tmp_path: Path):
    made = build_truth(small_path, tmp_path / "t", rule_set="vcc2025")
    (tmp_path / "t" / "vcc2025" / "0" / "replicate_mae.npy").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="replicate_mae.npy is damaged or missing"):
        made.anchor_scores(get_rule_set("vcc2025"), "replicate")


def test_a_truth_of_another_kit_is_refused(small_path: Path, tmp_path: Path):
    build_truth(small_path, tmp_path / "t", rule_set="vcc2025")
    about = json.loads((tmp_path / "t" / "truth.json").read_text())
    (tmp_path / "t" / "truth.json").write_text(json.dumps(about | {"kit": "0.0.9"}))
    with pytest.raises(InputError, match="was written by version 0.0.9 of the kit, this is .*; build the truth again"):
        opened.open_truth(tmp_path / "t")


def test_perturbations_of_one_cell_each_are_prepared(small_screen: anndata.AnnData, tmp_path: Path):
    labels = small_screen.obs["target_gene"].astype(str)
    first = ~labels.duplicated() | (labels == CONTROL)
    small_screen[first.to_numpy()].copy().write_h5ad(tmp_path / "a.h5ad")
    made = build_truth(tmp_path / "a.h5ad", tmp_path / "t")
    assert made.measured(COURSE).n_cells.tolist() == [1] * 24
    assert np.isnan(made.anchor_scores(COURSE, "replicate")["e_distance"]).all()


def test_mostly_empty_controls_are_refused(small_screen: anndata.AnnData, tmp_path: Path):
    control = (small_screen.obs["target_gene"] == CONTROL).to_numpy()
    keep = np.ones(small_screen.n_obs)
    keep[np.flatnonzero(control)[: int(0.6 * control.sum())]] = 0
    x = scipy.sparse.csr_matrix(small_screen.X.multiply(keep[:, None]), dtype=np.float32)
    x.eliminate_zeros()
    anndata.AnnData(x, small_screen.obs[["target_gene"]], small_screen.var).write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(InputError, match="more than half of the 'non-targeting' cells of .* are empty"):
        build_truth(tmp_path / "a.h5ad", tmp_path / "t", rule_set="course")


def test_a_rule_set_that_cannot_use_the_screen_leaves_the_others(small_screen: anndata.AnnData, tmp_path: Path):
    """One cell of more counts than the rules of 2026 take."""
    counts = anndata.AnnData(small_screen.X.copy(), small_screen.obs[["target_gene"]], small_screen.var)
    counts.X.data[0] = 2e6
    counts.write_h5ad(tmp_path / "a.h5ad")
    made = build_truth(tmp_path / "a.h5ad", tmp_path / "t")
    assert list(made.about["profiles"]) == ["course", "vcc2025", "vcc2025-final"]
    assert "1 cell of REAL has more" in made.about["left_out"]["vcc2026"]
    assert not (tmp_path / "t" / "vcc2026").exists()


def counts_with_median(total: int, seed: int) -> anndata.AnnData:
    """Counts of 200 genes, 60 control cells and 40 perturbed ones of exactly these totals."""
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.ones(200))
    x = np.stack([rng.multinomial(n, share) for n in rng.permutation(np.linspace(0.5, 1.5, 100) * total).astype(int)])
    obs = pd.DataFrame({"target_gene": np.repeat([CONTROL, "G1", "G2"], [60, 20, 20])}, index=map(str, range(100)))
    return anndata.AnnData(scipy.sparse.csr_matrix(x, dtype=np.float32), obs, pd.DataFrame(index=genes_of(200)))


def genes_of(n: int) -> list[str]:
    return [f"G{i}" for i in range(n)]


def test_the_target_sum_is_the_training_controls_or_what_is_asked(tmp_path: Path):
    real, train = counts_with_median(3_000, 0), counts_with_median(5_000, 1)
    real.write_h5ad(tmp_path / "real.h5ad")
    train.write_h5ad(tmp_path / "train.h5ad")
    of_controls = {
        name: np.median(np.asarray(side.X[:60].sum(axis=1))) for name, side in (("real", real), ("train", train))
    }
    of_all = np.median(np.asarray(real.X.sum(axis=1)))
    builds = {
        "alone": ({}, of_controls["real"], of_all),
        "train": ({"train": tmp_path / "train.h5ad"}, of_controls["train"], of_controls["train"]),
        "asked": ({"target_sum": 1e4}, 1e4, 1e4),
    }
    for name, (options, of_course, of_2025) in builds.items():
        for rules, due in (("course", of_course), ("vcc2025", of_2025)):
            made = build_truth(tmp_path / "real.h5ad", tmp_path / f"{name}-{rules}", rule_set=rules, **options)
            about = json.loads((made.folder / "truth.json").read_text())
            assert list(about["profiles"][rules]["target_sum"].values()) == [pytest.approx(due, rel=1e-6)]
            logs = np.log1p(real.X[:60].toarray() / np.asarray(real.X[:60].sum(axis=1)) * due)
            np.testing.assert_allclose(made.measured(get_rule_set(rules)).control, logs.mean(axis=0), rtol=1e-4)


def test_logs_have_their_target_sum_already(tmp_path: Path):
    real = counts_with_median(3_000, 0)
    real.X = preprocess.log_to_target(real.X, 1e4)
    real.write_h5ad(tmp_path / "logs.h5ad")
    made = build_truth(tmp_path / "logs.h5ad", tmp_path / "t", rule_set="course")
    assert list(made.about["profiles"]["course"]["target_sum"].values()) == [pytest.approx(1e4, rel=1e-4)]
    with pytest.raises(InputError, match="holds log1p expression, so --target-sum has nothing to set; leave it out"):
        build_truth(tmp_path / "logs.h5ad", tmp_path / "u", rule_set="course", target_sum=5e4)


def test_what_a_truth_asks_of_a_prediction(tmp_path: Path):
    real = counts_with_median(3_000, 0)
    real.write_h5ad(tmp_path / "real.h5ad")
    made = build_truth(tmp_path / "real.h5ad", tmp_path / "t", rule_set="course")
    due = requirements_of_truth(made)
    assert due.genes == tuple(genes_of(200))
    assert due.n_cells == {"G1": 20, "G2": 20}
    target = np.median(np.asarray(real.X[:60].sum(axis=1)))
    assert due.target_sum == pytest.approx(target)
    # the same cells, logged to 3 % more: less than controls of another batch differ, and told all the same
    for scale, said in ((1.0, None), (1.03, f"target_sum {1.03 * target:,.0f}, not {target:,.0f}")):
        logs = real.copy()
        logs.X = preprocess.log_to_target(real.X, scale * target)
        logs.write_h5ad(tmp_path / "p.h5ad")
        errors = [str(finding) for finding in check_prediction(tmp_path / "p.h5ad", due) if finding.level == "error"]
        assert [said in error for error in errors] == ([True] if said else [])
    with pytest.raises(InputError, match="it is scaled to another target_sum"):
        score_prediction(tmp_path / "p.h5ad", made, "course")
