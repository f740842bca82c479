"""The scorecard as one HTML page with its pictures inside."""

import base64
import io
from importlib import resources

import jinja2
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from starter import plots
from starter.scorecard import Scorecard, number


def scorecard_page(card: Scorecard) -> str:
    """Draw a scorecard's pictures and set its page.

    Returns
    -------
    HTML that needs no other file. Names from the prediction are escaped.
    """
    title = card.about["truth"]["title"]
    if card.contexts:
        title = f"{title}, context {next(iter(card.contexts))}"
    figures = (
        (
            plots.effects_figure(card.truth, card.prediction, f"{card.name} on {title}"),
            "Predicted against measured effects of the perturbations with the largest measured effects. "
            "Good predictions lie on the dashed line.",
        ),
        (
            plots.rank_figure(card.truth, card.prediction, f"{card.name} on {title}"),
            "PDS: each row ranks the measured effects by their distance from one prediction. "
            "A good prediction is dark on the diagonal; dark columns mean that every prediction looks alike.",
        ),
        (
            plots.overlap_figure(card.truth, card.prediction, f"{card.name} on {title}"),
            "DES: how many of the n measured DE genes are among the first n predicted ones.",
        ),
    )
    pictures = [{"data": _png(figure), "text": text} for figure, text in figures]
    template = resources.files("starter").joinpath("scorecard.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    metrics = card.profile.metrics
    return environment.from_string(template).render(
        card=card,
        scored=[metric for metric in metrics if metric.name in card.profile.scored],
        shown=[metric for metric in metrics if metric.name not in card.profile.scored],
        truth_title=title,
        pictures=pictures,
        number=number,
    )


def _png(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode()
