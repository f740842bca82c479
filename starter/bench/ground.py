"""What all arms of a bench stand on: measured cells, what may be learned from, and the rule set."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from starter.data.course import PRIORS_FOLDER, TRAIN_FILE, CourseData
from starter.data.dataset import pairs
from starter.data.profiles import read_profiles
from starter.errors import InputError
from starter.files import whole
from starter.models.training_data import TrainingData, read_training, training_of_course
from starter.prediction.controls import Controls, read_controls
from starter.priors.knowledge import read_knowledge
from starter.scoring.coverage import sampling_errors
from starter.scoring.metrics.rule_sets import RuleSet, get_rule_set
from starter.scoring.screens.opened import open_screen
from starter.simulation.biology import draw
from starter.simulation.setup import SIZES
from starter.simulation.write import write

PRESET, SIZE, SEED = "vcc", "vcc-small", 1
"""The simulated screen that is made where none is given: on the challenge's scale, in small."""


@dataclass(frozen=True)
class Ground:
    """What all arms stand on."""

    title: str
    """Of the screen."""
    screen: Path
    """The measured cells, counts."""
    data: TrainingData
    """Profiles of all pairs that are dealt out, and what is known of genes."""
    controls: Mapping[str, Controls]
    """Control cells of each context, of which cells are made."""
    rules: RuleSet
    knowledge: Path
    """The folder with what is known of genes, which need not be there."""

    n_cells: pd.Series
    """Measured cells of every pair of the screen, those that are not dealt out among them."""

    @cached_property
    def errors(self) -> pd.DataFrame:
        """Standard error of every measured profile, pairs x genes."""
        measured = read_profiles(self.screen)
        return sampling_errors(measured.deviations, measured.n_cells)


def ground_of_screen(screen: Path, profile: str) -> Ground:
    """Take a screen of which everything was measured, and the folder `priors` beside it.

    Parameters
    ----------
    screen
        A course data set, `.h5ad`.
    profile
        The rule set's name.

    Raises
    ------
    InputError
        If it cannot be read, holds nothing that was perturbed, or there is no such rule set.
    """
    rules, knowledge = get_rule_set(profile), screen.parent / PRIORS_FOLDER
    return _ground(screen, read_training(screen, read_knowledge(knowledge)), rules, knowledge)


def ground_of_course(course: CourseData, profile: str) -> Ground:
    """Take the training perturbations of a course; its public validation is not looked at.

    Parameters
    ----------
    course
        The course's data.
    profile
        The rule set's name.

    Raises
    ------
    InputError
        If its data cannot be used, or there is no such rule set.
    """
    rules = get_rule_set(profile)
    return _ground(course.folder / TRAIN_FILE, training_of_course(course), rules, course.folder / PRIORS_FOLDER)


def simulated_screen(folder: Path) -> Path:
    """Simulate a screen on the challenge's scale, unless it is there already.

    Parameters
    ----------
    folder
        Receives the screen and its `priors`.

    Returns
    -------
    The path of the `.h5ad`.
    """
    if not (found := list(folder.glob("*.h5ad"))):
        with whole(folder) as part:
            part.mkdir()
            write(draw(PRESET, SEED, SIZES[SIZE]), part)
        found = list(folder.glob("*.h5ad"))
    return found[0]


def _ground(path: Path, data: TrainingData, rules: RuleSet, knowledge: Path) -> Ground:
    if not len(data.pairs):
        msg = f"{path} holds no perturbed cells to learn from"
        raise InputError(msg)
    with open_screen(path) as screen:
        title = str(screen.course.get("title", path.name))
        n_cells = pairs(screen.obs).value_counts()
    controls, _ = read_controls(path, data.target_sum)
    return Ground(title, path, data, controls, rules, knowledge, n_cells)
