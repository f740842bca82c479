"""Simulated screens."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from starter.errors import InputError


def simulate(
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")],
    seed: Annotated[int, typer.Option(help="Equal seeds give equal screens. Who knows it can make the hidden cells.")],
    layout: Annotated[
        str,
        typer.Option(
            help="course: one course data set; vcc2025: training and validation cells of season 2025; vcc2026: the "
            "control cells of season 2026's contexts, its lists, and the truth in a folder of its own."
        ),
    ] = "course",
    size: Annotated[
        str | None,
        typer.Option(
            help="course, vcc (150 training and 50 validation perturbations), vcc-small (the same with fewer cells and "
            "genes), vcc2025 (50 perturbations) or vcc2026. Default: course, vcc or vcc2026, by the layout.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="What the screen resembles: default, papalexi, hard or vcc. Default: that of the course, or vcc.",
            show_default=False,
        ),
    ] = None,
    contexts: Annotated[
        int | None, typer.Option(help="Cell lines. Default: as the size has it.", min=1, max=26, show_default=False)
    ] = None,
    doubles: Annotated[int, typer.Option(help="Perturbations of two genes, A+B.", min=0)] = 0,
) -> None:
    """Write a simulated screen, whose truth is known.

    It has the layout of a course or of a challenge. Files say in their names that they are simulated. Beside the cells
    stands what is known of the genes (priors/).

    Example: starter simulate --layout vcc2025 --size vcc-small --seed 1 -o simulated_vcc
    """
    from starter.simulation import biology, challenge, write
    from starter.simulation.setup import SIZES

    layouts = {
        "course": ("course", "default", lambda drawn, folder: [write.write(drawn, folder)]),
        "vcc2025": ("vcc", "vcc", challenge.write_2025),
        "vcc2026": ("vcc2026", "vcc", challenge.write_2026),
    }
    for given, known, what in ((layout, layouts, "layout"), (size, (*SIZES, None), "size")):
        if given not in known:
            msg = f"there is no {what} {given!r}; the {what}s are {', '.join(filter(None, known))}"
            raise InputError(msg)
    usual_size, usual_preset, write_screen = layouts[layout]
    wanted = replace(SIZES[size or usual_size], doubles=doubles)
    if contexts is not None:
        wanted = replace(wanted, contexts=contexts)
    for path in write_screen(biology.draw(preset or usual_preset, seed, wanted), out):
        typer.echo(f"wrote {path} ({path.stat().st_size / 1e6:,.0f} MB): simulated")
