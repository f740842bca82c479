"""Figures of models, and what all figures share."""

import numpy as np
import pandas as pd

from starter import plots
from starter.plots.style import wrapped


def test_a_title_breaks_into_even_lines():
    title = "public perturbations\nSimulated screen (default preset): no finding about these genes"
    broken = "public perturbations\nSimulated screen (default preset):\nno finding about these genes"
    assert wrapped(title) == broken
    assert wrapped("") == ""


def test_a_long_table_of_settings_has_ticks_at_powers_of_ten():
    table = pd.DataFrame({"ridge": np.linspace(0.1, 0.05, 13)}, index=np.logspace(-2, 4, 13))
    figure = plots.setting_curves({"penalty": table}, pd.Series({"ridge": 0.06}), "error", "public")
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["0.01", "0.1", "1", "10", "100", "1000", "10000"]
    figure = plots.setting_curves({"k": table.iloc[:3]}, pd.Series({"ridge": 0.06}), "error", "public")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["0.01", "0.0316228", "0.1"]
