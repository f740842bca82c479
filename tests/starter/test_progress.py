import pytest

from starter import progress


def test_a_log_gets_a_line_a_minute_with_an_estimate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.bar("grade 04", 100) as advance:
        for _ in range(100):
            now[0] += 9.0
            advance()
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0] == "grade 04: 7 of 100, about 14 min left"
    assert lines[-1] == "grade 04: 98 of 100, about 0 min left"
    assert len(lines) == 14


def test_short_work_leaves_no_line(capsys: pytest.CaptureFixture):
    with progress.bar("read", 5) as advance:
        for _ in range(5):
            advance()
    assert capsys.readouterr() == ("", "")


def test_work_inside_other_work_shows_no_bar_of_its_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def work(what: str, inner: int) -> None:
        with progress.bar(what, 2) as advance:
            for _ in range(2):
                for _ in range(inner):
                    work(f"inside {what}", 0)
                now[0] += 90
                advance("loss 1")

    work("folds", 1)
    work("train", 0)
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == ["folds", "train"]


@pytest.mark.parametrize(("jupyter", "pause", "shown"), [(False, 0, 1), (True, 0, 0), (True, 2, 1)])
def test_quick_work_leaves_no_trace_in_a_notebook(
    jupyter: bool, pause: float, shown: int, monkeypatch: pytest.MonkeyPatch
):
    """A stand-in for rich's bar counts how often it is shown; rich itself asks where it runs."""
    now, calls = [0.0], []
    console = progress.Console(force_terminal=True, force_jupyter=jupyter)
    monkeypatch.setattr(progress, "Console", lambda **options: console)
    monkeypatch.setattr(progress.Progress, "start", lambda bar: calls.append("start"))
    monkeypatch.setattr(progress.Progress, "stop", lambda bar: calls.append("stop"))
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.bar("train", 3) as advance:
        for _ in range(3):
            now[0] += pause
            advance()
    assert calls == ["start", "stop"] * shown
