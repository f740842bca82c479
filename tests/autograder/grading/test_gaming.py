"""Points by the challenge's score alone can be had without knowledge; what must be ahead of the baseline stops that."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from autograder.grading.rubric import Scored, by_rubric
from autograder.settings import Goal, Prediction
from starter.data import dataset, pseudobulk
from starter.data.dataset import PAIR, contexts
from starter.data.split import make_split, read_split
from starter.models import baselines
from starter.prediction import cells
from starter.prediction.controls import controls_of
from starter.priors.tables import read_features
from starter.schema import CONTROL, TARGET_GENE
from starter.scoring.scorecard import Scorecard, number, score_prediction
from starter.scoring.truth.build import build_truth
from starter.scoring.truth.opened import open_truth
from starter.simulation import biology
from starter.simulation.setup import Size
from starter.simulation.write import write

FULL = 0.08
AHEAD = ["overall", "discrimination_score_l1"]
Blocks = dict[str, scipy.sparse.csr_matrix]


class Screen:
    """A small simulated screen of strong effects: 40 perturbations to learn from, 20 to predict."""

    def __init__(self, folder: Path) -> None:
        self.train = dataset.read_screen(folder / "train.h5ad")
        self.n_cells = read_split(folder / "split.json").n_cells("hidden")
        self.truth = open_truth(folder / "truth")
        self.controls = controls_of(self.train)
        profiles = pseudobulk.profiles(self.train).droplevel("context")
        (features,) = (folder / "priors").glob("*features.parquet")
        self.control = profiles.loc[CONTROL]
        self.mean = baselines.train_mean(profiles, None, list(self.n_cells))
        self.model = baselines.ridge(profiles, read_features(features), list(self.n_cells))

    def cells(self, table: pd.DataFrame, way: str = "thin") -> Blocks:
        table = pd.concat({contexts(self.train)[0]: table.clip(lower=0)}, names=PAIR)
        return dict(cells.make_cells(table, self.controls, self.n_cells, way))

    def score(self, blocks: Blocks) -> Scorecard:
        labels = np.repeat(list(blocks), [block.shape[0] for block in blocks.values()])
        obs = pd.DataFrame({TARGET_GENE: labels}, index=np.arange(len(labels)).astype(str))
        made = anndata.AnnData(scipy.sparse.vstack(list(blocks.values())).tocsr(), obs=obs)
        made.var_names = self.train.var_names
        return score_prediction(made, self.truth, "vcc2025")


@pytest.fixture(scope="session")
def screen(once: Callable) -> Screen:
    def fill(folder: Path) -> None:
        drawn = biology.draw(seed=5, size=Size(targets=60, genes=300, controls=400, min_cells=50, depth=12_000))
        path = write(dataclasses.replace(drawn, effects=1.5 * drawn.effects), folder)
        screen = dataset.read_screen(path)
        names = sorted(set(screen.obs[TARGET_GENE].astype(str)) - {CONTROL})
        split = make_split(screen, list(np.random.default_rng(0).permutation(names)[:20]), [])
        split.write(folder / "split.json")
        for part in ("train", "hidden"):
            screen[split.select(screen.obs, part)].copy().write_h5ad(folder / f"{part}.h5ad")
        about = {"split": folder / "split.json", "part": "hidden", "train": folder / "train.h5ad"}
        build_truth(folder / "hidden.h5ad", folder / "truth", **about, rule_set="vcc2025")

    return Screen(once("vcc", fill))


def official(card: Scorecard) -> tuple[float, float]:
    """Give the challenge's score and the same unclipped, from the values of the single perturbations."""
    means = card.per_perturbation.groupby("metric")[["value", "baseline"]].mean()
    best = pd.Series({"overlap_at_N": 1.0, "discrimination_score_l1": 1.0, "mae": 0.0})
    ways = ((means["value"] - means["baseline"]) / (best - means["baseline"]))[best.index]
    return float(ways.clip(lower=0).mean()), float(ways.mean())


def gain(card: Scorecard) -> np.ndarray:
    """Give the gain in PDS of the single perturbations."""
    table = card.per_perturbation.query("metric == 'discrimination_score_l1'")
    return (table["value"] - table["baseline"]).to_numpy()


def points(card: Scorecard, full: float = FULL, ahead: Sequence[str] = AHEAD) -> Scored:
    return by_rubric(card, Prediction(profile="vcc2025", rubric=[Goal(full=full)], ahead=list(ahead)))


@pytest.mark.parametrize("share", [0.5, 0.75, 1.0])
def test_an_honest_model_earns_linearly(screen: Screen, share: float):
    card = screen.score(screen.cells(screen.mean + share * (screen.model - screen.mean)))
    score, unclipped = official(card)
    assert (card.overall, card.overall_unclipped) == pytest.approx((score, unclipped), abs=1e-6)
    assert unclipped > 0
    # a gain that Student's t finds too, beyond its limit of 2.09
    assert gain(card).mean() > 2.1 * gain(card).std(ddof=1) / np.sqrt(20)
    scored = points(card, full=0.25)
    assert scored.verdict.share == pytest.approx(score / 0.25, abs=1e-4)
    assert 0.3 < scored.verdict.share < 0.6
    assert scored.held == ""
    assert scored.verdict.reason.startswith("scaled scores (0 for the train mean, 1 for a perfect prediction): overall")
    assert points(card).verdict.share == pytest.approx(min(score / FULL, 1), abs=1e-4)


def twice(screen: Screen, table: pd.DataFrame) -> Blocks:
    """Take the logarithm of the perturbed cells a second time."""
    return {label: block if label == CONTROL else block.log1p() for label, block in screen.cells(table).items()}


TRICKS: dict[str, Callable[[Screen], Blocks]] = {
    "a second log": lambda screen: twice(screen, screen.mean),
    "a second log of a model": lambda screen: twice(screen, screen.mean + 1.5 * (screen.model - screen.mean)),
    "effects times 3": lambda screen: screen.cells(screen.control + 3 * (screen.mean - screen.control)),
    "a model's effects times 3": lambda screen: screen.cells(screen.control + 3 * (screen.model - screen.control)),
    "noise": lambda screen: screen.cells(
        screen.mean + np.random.default_rng(1).normal(0, 0.02, screen.mean.shape)
    ),
}  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_earns_nothing_and_is_told_why(screen: Screen, trick: str):
    card = screen.score(TRICKS[trick](screen))
    score, unclipped = official(card)
    scored = points(card)
    assert scored.verdict.share == 0
    said = f"no points, since overall is {number(unclipped)} with nothing clipped, and must be above 0; below the train"
    assert scored.verdict.reason.startswith(said)
    by_score_alone = points(card, ahead=[]).verdict.share
    assert by_score_alone == pytest.approx(min(score / FULL, 1), abs=1e-4)
    assert (by_score_alone == 1) == ("of a model" in trick or "a model's" in trick)
    assert by_score_alone > 0.05


def test_equal_cells_are_held(screen: Screen):
    for table in (screen.mean, screen.model):
        assert points(screen.score(screen.cells(table, "constant"))).held.startswith("identical_cells: ")


def test_the_train_mean_earns_nothing(screen: Screen):
    scored = points(screen.score(screen.cells(screen.mean)))
    assert (scored.verdict.share, scored.held) == (0, "")
