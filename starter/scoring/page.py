"""The scorecard's pictures, and one HTML page with them inside."""

import base64
import io
from functools import partial
from importlib import resources
from pathlib import Path

import jinja2
import matplotlib.pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from starter.errors import InputError
from starter.files import whole
from starter.scoring.pictures import PICTURES
from starter.scoring.scorecard import Scorecard, number

DPI = 110


def draw_pictures(card: Scorecard) -> dict[str, bytes]:
    """Draw a scorecard's pictures.

    Returns
    -------
    Names of `PICTURES`, those of which the scorecard has something, each with its PNG.
    """
    title = f"{card.name} on {_title(card)}"
    drawn = {name: picture.draw(card, title) for name, picture in PICTURES.items()}
    return {name: _png(figure) for name, figure in drawn.items() if figure}


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
        truth_title=card.about["truth"]["title"],
        pictures=[
            {"data": base64.b64encode(content).decode(), "text": PICTURES[name].text}
            for name, content in pictures.items()
        ],
        number=number,
    )


def _title(card: Scorecard) -> str:
    title = card.about["truth"]["title"]
    return f"{title}, context {next(iter(card.contexts))}" if card.contexts else title


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.set_dpi(DPI)
    FigureCanvasAgg(figure).print_png(buffer)  # `savefig` draws twice, the first time for the layout
    plt.close(figure)
    return buffer.getvalue()


def write_scorecard(card: Scorecard, folder: str | Path) -> None:
    """Write `scorecard.json` and `.html`, `per_perturbation.parquet` and `.csv`, and the pictures into a folder."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"cannot write the scorecard to {folder}: {error.strerror or error}; choose another folder with --out"
        raise InputError(msg) from error
    pictures = draw_pictures(card)
    page = scorecard_page(card, pictures)
    for name in PICTURES.keys() - pictures.keys():
        (folder / name).unlink(missing_ok=True)  # of an earlier scorecard, by other rules
    for name, write in (
        *((name, partial(Path.write_bytes, data=content)) for name, content in pictures.items()),
        ("per_perturbation.parquet", lambda part: card.per_perturbation.to_parquet(part, index=False)),
        ("per_perturbation.csv", lambda part: card.per_perturbation.to_csv(part, index=False)),
        ("scorecard.html", lambda part: part.write_text(page, encoding="utf-8")),
        ("scorecard.json", lambda part: part.write_text(card.to_json(), encoding="utf-8")),
    ):
        with whole(folder / name) as part:
            write(part)
