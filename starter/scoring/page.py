"""The scorecard's pictures, and one HTML page with them inside."""

import base64
import io
from functools import partial
from importlib import resources
from pathlib import Path

import jinja2
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from starter.errors import InputError
from starter.files import whole
from starter.scoring.figures import effects_figure, overlap_figure, rank_figure
from starter.scoring.scorecard import Scorecard, number

PICTURES = {
    "effects.png": "Predicted against measured effects of the perturbations with the largest measured effects. "
    "Good predictions lie on the dashed line.",
    "ranks.png": "PDS: each row ranks the measured effects by their distance from one prediction. "
    "A good prediction is dark on the diagonal; dark columns mean that every prediction looks alike.",
    "overlap.png": "DES: how many of the n measured DE genes are among the first n predicted ones.",
}
"""File name of each picture, and what it shows."""
DRAW = {"effects.png": effects_figure, "ranks.png": rank_figure, "overlap.png": overlap_figure}


def draw_pictures(card: Scorecard) -> dict[str, bytes]:
    """Draw a scorecard's pictures.

    Returns
    -------
    The names of `PICTURES`, each with its PNG.
    """
    title = f"{card.name} on {_title(card)}"
    return {name: _png(draw(card.truth, card.prediction, title)) for name, draw in DRAW.items()}


def scorecard_page(card: Scorecard, pictures: dict[str, bytes]) -> str:
    """Set a scorecard's page.

    Parameters
    ----------
    card
        The scorecard.
    pictures
        What `draw_pictures` gave.

    Returns
    -------
    HTML that needs no other file. Names from the prediction are escaped.
    """
    template = resources.files("starter.scoring").joinpath("scorecard.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    metrics = card.rules.metrics
    return environment.from_string(template).render(
        card=card,
        scored=[metric for metric in metrics if metric.name in card.rules.scored],
        shown=[metric for metric in metrics if metric.name not in card.rules.scored],
        truth_title=_title(card),
        pictures=[{"data": base64.b64encode(pictures[name]).decode(), "text": text} for name, text in PICTURES.items()],
        number=number,
    )


def _title(card: Scorecard) -> str:
    title = card.about["truth"]["title"]
    return f"{title}, context {next(iter(card.contexts))}" if card.contexts else title


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return buffer.getvalue()


def write_scorecard(card: Scorecard, folder: str | Path) -> None:
    """Write `scorecard.json` and `.html`, `per_perturbation.parquet` and `.csv`, and the pictures into a folder."""
    from starter.scoring.page import (
        draw_pictures,
        scorecard_page,  # draws figures: only needed here
    )

    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"cannot write the scorecard to {folder}: {error.strerror or error}; choose another folder with --out"
        raise InputError(msg) from error
    pictures = draw_pictures(card)
    page = scorecard_page(card, pictures)
    for name, write in (
        *((name, partial(Path.write_bytes, data=content)) for name, content in pictures.items()),
        ("per_perturbation.parquet", lambda part: card.per_perturbation.to_parquet(part, index=False)),
        ("per_perturbation.csv", lambda part: card.per_perturbation.to_csv(part, index=False)),
        ("scorecard.html", lambda part: part.write_text(page, encoding="utf-8")),
        ("scorecard.json", lambda part: part.write_text(card.to_json(), encoding="utf-8")),
    ):
        with whole(folder / name) as part:
            write(part)
