"""What `starter score` prints in a terminal of 80 columns."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from starter.scoring.scorecard import Scorecard, number
from starter.scoring.tables import print_scores


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[[Sequence[Scorecard]], str]:
    monkeypatch.setenv("COLUMNS", "80")

    def text_of(cards: Sequence[Scorecard]) -> str:
        print_scores(cards)
        return capsys.readouterr().out

    return text_of


def named(card: Scorecard, n: int) -> list[Scorecard]:
    return [replace(card, name=f"prediction_of_a_model_with_a_long_name_{place}") for place in range(1, n + 1)]


def test_five_predictions_fit_80_columns_with_every_number_whole(cards: dict[str, Scorecard], printed: Callable):
    text = printed(named(cards["half"], 5))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    mae = cards["half"].metrics["mae"]
    values, scaled = (
        " ".join(line.split()) for line in reversed([x for x in text.splitlines() if x.startswith(" MAE")])
    )
    assert values == " ".join(["MAE ↓", *5 * [number(mae["value"])], number(mae["baseline"]), number(mae["replicate"])])
    assert scaled == " ".join(["MAE", *5 * [number(mae["scaled"])]])
    assert " 5 " in text
    assert "prediction_of_a_model_with_a_long_name_5" in text


def test_more_than_five_get_further_tables(cards: dict[str, Scorecard], printed: Callable):
    text = printed(named(cards["half"], 7))
    assert max(map(len, text.splitlines())) <= 80
    assert [line.split() for line in text.splitlines() if line.startswith(" scaled score of")] == [
        ["scaled", "score", "of", *"12345"],
        ["scaled", "score", "of", *"67"],
    ]


def test_one_prediction_has_its_intervals_beside_its_values(cards: dict[str, Scorecard], printed: Callable):
    text = printed([cards["half"]])
    assert max(map(len, text.splitlines())) <= 80
    row = cards["half"].metrics["mae"]
    between = f"{number(row['low'])} to {number(row['high'])}"
    assert any(between in line and number(row["scaled"]) in line for line in text.splitlines() if "MAE" in line)


def test_what_is_not_graded_is_a_dash(cards: dict[str, Scorecard], printed: Callable):
    card = cards["half"]
    row = card.metrics["mae"] | {"gradable": False, "scaled": None}
    text = printed([replace(card, metrics=card.metrics | {"mae": row})])
    (line,) = [line for line in text.splitlines() if "MAE" in line and "↓" in line]
    assert line.split()[-1] == "–"
