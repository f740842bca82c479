"""Folds and scores, against calculations by hand and scipy."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from starter.data.dataset import PAIR
from starter.errors import InputError
from starter.models import baselines, tuning
from starter.models.kit import KIT
from starter.models.training_data import TrainingData
from starter.models.transfer import same_target
from starter.schema import CONTROL

RNG_SEED = 7


def screen(n: int = 12, n_genes: int = 20) -> pd.DataFrame:
    rng = np.random.default_rng(RNG_SEED)
    names = [f"T{i:02d}" for i in range(n)]
    profiles = pd.DataFrame(
        3 + rng.normal(size=n_genes) + 0.5 * rng.normal(size=(n, n_genes)),
        index=pd.Index(names, name="perturbation"),
        columns=[*names[: n // 2], *[f"G{i}" for i in range(n_genes - n // 2)]],
    )
    profiles.loc[CONTROL] = 3.0
    return profiles


def test_folds_hold_every_perturbation_once_and_are_of_equal_size():
    names = [f"T{i}" for i in range(17)]
    fold_of = tuning.folds([*names, CONTROL], 5, seed=1)
    assert set(fold_of) == set(names)
    assert sorted(np.bincount(list(fold_of.values()))) == [3, 3, 3, 4, 4]
    assert fold_of == tuning.folds(reversed(names), 5, seed=1)
    assert fold_of != tuning.folds(names, 5, seed=2)


@pytest.mark.parametrize(("n", "n_folds"), [(4, 5), (4, 1), (0, 2)])
def test_folds_that_cannot_be_are_refused(n: int, n_folds: int):
    with pytest.raises(InputError, match=f"{n} perturbations cannot be dealt out to {n_folds} folds"):
        tuning.folds([f"T{i}" for i in range(n)], n_folds)


def test_scores_of_profiles_by_hand():
    profiles = screen()
    training, measured = profiles.drop(index=["T00", "T01", "T02"]), profiles.loc[["T00", "T01", "T02"]]
    rng = np.random.default_rng(0)
    predicted = measured + 0.4 * rng.normal(size=measured.shape)
    found = tuning.profile_scores(measured, predicted.iloc[::-1, ::-1], training)
    assert tuple(found.columns) == tuning.METRICS
    mean = training.drop(index=CONTROL).mean()
    for name in measured.index:
        due = scipy.stats.pearsonr(measured.loc[name] - 3, predicted.loc[name] - 3)[0]
        assert found.loc[name, "pearson_delta"] == pytest.approx(due, abs=1e-5)
        due = scipy.stats.pearsonr(measured.loc[name] - mean, predicted.loc[name] - mean)[0]
        assert found.loc[name, "pearson_delta_train_mean"] == pytest.approx(due, abs=1e-5)
        assert found.loc[name, "mae"] == pytest.approx((measured - predicted).loc[name].abs().mean(), abs=1e-6)
        others = (measured - predicted.loc[name]).drop(columns=name).abs().sum(axis=1)
        due = (others > others[name]).sum() / 2
        assert found.loc[name, "discrimination_score_l1"] == due


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda m, t: (m.iloc[:1], t), "the perturbations are not those that were measured: missing 1 .T01."),
        (lambda m, t: (m.iloc[:, 1:], t), "the genes are not those that were measured: missing 1 .T00."),
        (lambda m, t: (m, t.assign(more=1.0)), "the genes of the training profiles are not .*extra 1 .more."),
    ],
)
def test_tables_that_do_not_fit_are_refused(wrong: object, said: str):
    profiles = screen()
    measured, training = profiles.loc[["T00", "T01"]], profiles.drop(index=["T00", "T01"])
    with pytest.raises(InputError, match=said):
        tuning.profile_scores(measured, *wrong(measured, training))


def test_a_model_never_sees_the_fold_that_it_predicts():
    profiles = screen()
    fold_of = tuning.folds(profiles.index, 4)
    asked = []

    def model(training: pd.DataFrame, known: str, targets: list[str], more: int) -> pd.DataFrame:
        assert (known, more) == ("known", 3)
        assert CONTROL in training.index
        assert not set(training.index) & set(targets)
        assert len({fold_of[target] for target in targets}) == 1
        assert len(training) + len(targets) == len(profiles)
        asked.extend(targets)
        return baselines.train_mean(training, None, targets)

    scores = tuning.cross_validate(model, profiles, "known", fold_of, more=3)
    assert sorted(asked) == list(scores.index) == [f"T{i:02d}" for i in range(12)]


def test_the_train_mean_in_folds_by_hand():
    profiles = screen()
    fold_of = tuning.folds(profiles.index, 4)
    scores = tuning.cross_validate(baselines.train_mean, profiles, None, fold_of)
    for name, fold in fold_of.items():
        others = profiles.loc[[other for other, its_fold in fold_of.items() if its_fold != fold]].mean()
        due = scipy.stats.pearsonr(profiles.loc[name] - 3, others - 3)[0]
        assert scores.loc[name, "pearson_delta"] == pytest.approx(due, abs=1e-5)
    assert (scores["pearson_delta_train_mean"] == 0).all()
    # one answer for all: within a fold PDS is a permutation of 0, .5 and 1, but for each target's own gene
    assert scores["discrimination_score_l1"].mean() == pytest.approx(0.5, abs=0.15)


def test_a_comparison_is_paired_and_bootstrapped():
    rng = np.random.default_rng(0)
    names = [f"T{i}" for i in range(30)]
    hard = rng.normal(0, 5, 30)  # far larger than the difference
    baseline = pd.DataFrame({"x": hard, "y": hard}, index=names)
    scores = pd.DataFrame({"x": hard + rng.normal(0.3, 0.2, 30), "y": hard}, index=names)
    found = tuning.compare(scores, baseline.iloc[::-1])
    gain = (scores - baseline)["x"].to_numpy()
    means = gain[rng.integers(0, 30, (20_000, 30))].mean(axis=1)
    assert found.loc["x", "value"] == pytest.approx(scores["x"].mean())
    assert found.loc["x", "difference"] == pytest.approx(gain.mean())
    np.testing.assert_allclose(
        found.loc["x", ["low", "high"]].astype(float), np.quantile(means, [0.025, 0.975]), atol=0.02
    )
    assert found.loc["y", ["difference", "low", "high"]].tolist() == [0, 0, 0]


def test_few_perturbations_have_no_interval():
    scores = pd.DataFrame({"x": np.arange(9.0)})
    found = tuning.compare(scores + 1, scores)
    assert found.loc["x", "difference"] == 1
    assert found.loc["x", ["low", "high"]].isna().all()


THREE = pd.MultiIndex.from_product([["A", "B", "C"], [f"T{i}" for i in range(6)]], names=PAIR)


@pytest.mark.parametrize(
    ("metric", "numbers", "said"),
    [
        (
            "discrimination_score_l1",
            (-0.011, -0.061, 0.030),
            "attention is not seen to add anything here: PDS -.011 [-.061, +.030]",
        ),
        ("discrimination_score_l1", (0.05, 0.001, 0.1), "attention helps here: PDS +.050 [+.001, +.100]"),
        ("pearson_delta", (-0.05, -0.1, -0.001), "attention harms here: Pearson delta -.050 [-.100, -.001]"),
        # of an error, less is better
        ("e_distance", (-1.5, -2.25, -0.5), "attention helps here: E-distance -1.500 [-2.250, -.500]"),
        ("mae", (0.02, 0.01, 0.03), "attention harms here: MAE +.020 [+.010, +.030]"),
        # an end at 0 is not on one side of it
        ("mae", (-0.02, -0.04, 0.0), "attention is not seen to add anything here: MAE -.020 [-.040, +.000]"),
        (
            "mae",
            (-0.02, np.nan, np.nan),
            "too few perturbations to say whether attention adds anything here: MAE -.020",
        ),
    ],
)
def test_a_verdict_is_what_the_interval_says(metric: str, numbers: tuple[float, float, float], said: str):
    row = pd.Series(dict(zip(("difference", "low", "high"), numbers, strict=True)), name=metric)
    assert tuning.verdict("attention", row) == said


def test_a_verdict_takes_a_row_of_a_comparison_as_it_is():
    # every difference is 1, so its interval is [1, 1]
    names = [f"P{number:02d}" for number in range(12)]
    with_it = pd.DataFrame({"mae": np.arange(12.0)}, index=names)
    row = tuning.compare(with_it, with_it - 1).loc["mae"]
    assert tuning.verdict("the graph", row) == "the graph harms here: MAE +1.000 [+1.000, +1.000]"


@pytest.mark.parametrize(("metric", "difference"), [("PDS", 0.1), (0, 0.1), ("mae", np.nan)])
def test_a_verdict_of_what_cannot_be_compared_is_refused(metric: object, difference: float):
    row = pd.Series({"difference": difference, "low": 0.0, "high": 0.2}, name=metric)
    with pytest.raises(InputError, match=r"named as a metric of the course|undefined for a perturbation"):
        tuning.verdict("attention", row)


def test_a_perturbation_is_held_out_in_every_context_at_once():
    held_out = tuning.unseen_perturbations(THREE, 3, seed=1)
    assert sorted(pair for fold in held_out for pair in fold) == sorted(THREE)
    for fold in held_out:
        names = set(fold.get_level_values("perturbation"))
        assert len(names) == 2
        assert set(fold) == {(context, name) for context in "ABC" for name in names}


def test_a_context_is_held_out_whole_or_but_for_a_few():
    whole = tuning.unseen_contexts(THREE)
    assert [set(fold.get_level_values("context")) for fold in whole] == [{"A"}, {"B"}, {"C"}]
    assert [len(fold) for fold in whole] == [6, 6, 6]
    two, four = tuning.unseen_contexts(THREE, 2), tuning.unseen_contexts(THREE, 4)
    assert [len(fold) for fold in two] == [4, 4, 4]
    assert all(set(fewer) <= set(more) for fewer, more in zip(four, two, strict=True))
    with pytest.raises(InputError, match="but for 6 pairs takes two contexts .* 6 in A, 6 in B, 6 in C"):
        tuning.unseen_contexts(THREE, 6)
    with pytest.raises(InputError, match="there are 6 in A"):
        tuning.unseen_contexts(THREE[:6])


def test_pairs_are_scored_in_their_context_by_what_was_not_held_out():
    """By hand: the effects of B are those of A on another control; carried over, they are exact."""
    rng = np.random.default_rng(0)
    effects = rng.normal(size=(6, 8))
    rows = {("A", CONTROL): np.full(8, 9.0), ("B", CONTROL): np.full(8, 7.0)}
    for row, effect in enumerate(effects):
        rows |= {("A", f"T{row}"): 9 + effect, ("B", f"T{row}"): 7 + effect}
    index = pd.MultiIndex.from_tuples(list(rows), names=PAIR)
    data = TrainingData(pd.DataFrame(list(rows.values()), index, list("abcdefgh")), pd.Series(9, index))
    scores = tuning.cross_validate_pairs(same_target(), data, tuning.unseen_contexts(data.pairs))
    assert sorted(scores.index) == sorted(data.pairs)
    np.testing.assert_allclose(scores["mae"], 0, atol=1e-6)
    np.testing.assert_allclose(scores["discrimination_score_l1"], 1)
    np.testing.assert_allclose(scores["pearson_delta"], 1, atol=1e-6)
    assert scores["pearson_delta_train_mean"].isna().all()  # the context has no train mean
    with pytest.raises(InputError, match="train mean learns in each context on its own"):
        tuning.cross_validate_pairs(KIT["train mean"], data, tuning.unseen_contexts(data.pairs))
