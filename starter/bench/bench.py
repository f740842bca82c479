"""`starter bench`: arms beside each other on panels of hidden perturbations, as the challenge would score them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from starter.bench.arms import Arm, arm_of
from starter.bench.ground import Ground
from starter.bench.panels import FOLDS, Panel, deal, panel_of
from starter.bench.report import write_standings
from starter.bench.run import Ran, run_arms
from starter.bench.standings import Standings, standings
from starter.errors import InputError
from starter.models.kit import KIT

REFERENCE = "train mean"
"""The arm to which all are compared; it always runs."""


class Dealt(NamedTuple):
    """How perturbations are to be hidden; None for what `starter.bench.panels.deal` does if nothing is said."""

    hide: int | None = None
    folds: int | None = None
    seeds: int | None = None
    context: str | None = None


class Bench(NamedTuple):
    """What came of a bench."""

    standings: Standings
    ran: Ran


def bench(arms: Sequence[Arm], ground: Ground, folder: Path, dealt: Dealt | None = None) -> Bench:
    """Compare arms, and write tables and figure.

    Parameters
    ----------
    arms
        What is compared; see `starter.bench.arms.read_arms`.
    ground
        What they are compared on.
    folder
        Receives `starter.bench.report.FILES` and what `starter.bench.run.run_arms` keeps.
    dealt
        How perturbations are hidden. Arms that are ready-made predictions fix it: what they all hold is hidden, once.

    Raises
    ------
    InputError
        If perturbations cannot be dealt out so, or the train mean itself fails.
    """
    dealt = dealt or Dealt()
    if REFERENCE not in [arm.name for arm in arms]:
        arms = [arm_of(KIT[REFERENCE]), *arms]
    ran = run_arms(arms, _panels(arms, ground, dealt), ground, folder)
    if REFERENCE in ran.faults:
        raise InputError(ran.faults[REFERENCE])
    came = standings(ran.results, ground.rules, REFERENCE)
    about = {"title": ground.title, "screen": ground.screen.name, "dealt": dealt._asdict()}
    write_standings(came, ran.results, ran.faults, about, folder)
    return Bench(came, ran)


def _panels(arms: Sequence[Arm], ground: Ground, dealt: Dealt) -> list[Panel]:
    measured = ground.data.pairs
    held = {arm.name: pairs for arm in arms if (pairs := arm.holds()) is not None}
    if not held:
        folds, seeds = dealt.folds or FOLDS, dealt.seeds or 1
        return deal(measured, dealt.hide, folds, seeds, dealt.context)
    if any(value is not None for value in dealt):
        msg = (
            f"{', '.join(held)}: a ready-made prediction fixes who is hidden; leave out --hide, --folds, --seeds and "
            "--context"
        )
        raise InputError(msg)
    first, *others = held.values()
    for pairs in others:
        first = first.intersection(pairs)
    if not len(first):
        msg = f"{', '.join(held)} have no perturbation in common, and cannot be compared; give predictions of the same"
        raise InputError(msg)
    return [panel_of(first, measured)]
