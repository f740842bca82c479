"""`python -m benchmarks.scoring`: time and memory of scoring, beside the challenges' own tools on the same files."""

import dataclasses
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import h5py
import numpy as np
import typer

from benchmarks.peers import REAL_DE, SCALED, SCORES, STREAMED, TEST
from benchmarks.screens import SCREENS, Form, prediction_path, real_path
from benchmarks.watch import machine, watch
from starter.console import run
from starter.progress import spinner
from starter.schema import CONTROL, TARGET_GENE

STARTER = Path(sys.executable).with_name("starter")
SAME = 1e-6
"""Largest difference of scores that agree: means of float32 values, summed in another order."""
SAME_Z = 1e-4
"""The same for z, which scanpy keeps in float32."""
ALONE = "cold, metrics alone"
"""The six metrics of 2026 without the baseline and the replicate that a score needs."""
VERSIONS = (
    "virtual-cell-course",
    "cell-eval",
    "pdex",
    "cell-eval2",
    "scanpy",
    "illico",
    "crispyx",
    "numpy",
    "scipy",
    "numba",
)


class Peer(StrEnum):
    """Who is measured."""

    ours = "ours"
    cell_eval = "cell-eval"
    cell_eval2 = "cell-eval2"
    scanpy = "scanpy"
    illico = "illico"
    crispyx = "crispyx"


@dataclass(frozen=True)
class Benchmark:
    """What is measured on one screen."""

    screen: str
    peers: tuple[Peer, ...]
    """Scorers; or, for the rank-sum test, tests."""
    forms: tuple[Form, ...] = ()
    """Ours also from predictions stored in these ways."""
    packed: bool = False
    """Ours also from an upload."""
    test: bool = False
    """The rank-sum test alone instead of scoring."""


TESTS = (Peer.ours, Peer.illico, Peer.scanpy, Peer.crispyx)
FORMS = (Form.gzip, Form.dense)
BENCHMARKS = {
    "small": Benchmark("small", (Peer.ours, Peer.cell_eval)),
    "controls": Benchmark("controls", (Peer.ours, Peer.cell_eval)),
    "2026": Benchmark("2026", (Peer.ours, Peer.cell_eval2)),
    "full2025": Benchmark("full2025", (Peer.ours,), FORMS, packed=True),
    "full2026": Benchmark("full2026", (Peer.ours,), FORMS),
    "upload2026": Benchmark("upload2026", (Peer.ours,), packed=True),
    "test": Benchmark("small", TESTS, test=True),
    "tiny": Benchmark("tiny", (Peer.ours, Peer.cell_eval), FORMS, packed=True),
    "tiny2026": Benchmark("tiny2026", (Peer.ours, Peer.cell_eval2), FORMS),
    "tinytest": Benchmark("tiny", TESTS, test=True),
}
SizeName = StrEnum("SizeName", list(BENCHMARKS))
TRYING = ("tiny", "tiny2026", "tinytest")
"""Sizes for trying the script, which also compile what is compiled once."""


@dataclass(frozen=True)
class Run:
    """One measured run."""

    peer: Peer
    what: str
    seconds: float
    cpu: float
    """Seconds of processors, which other work on the machine hardly changes."""
    peak: int
    """Bytes of the process and those that it started, together."""
    verdict: str = ""
    """Whether its numbers are ours."""


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    *,
    size: Annotated[
        list[SizeName] | None,
        typer.Option(
            help="What to measure; give it several times. Default: all but the tiny ones.", show_default=False
        ),
    ] = None,
    peer: Annotated[
        list[Peer] | None, typer.Option(help="Whom; give it several times. Default: all.", show_default=False)
    ] = None,
    warm: Annotated[bool, typer.Option(help="Also with the screen prepared.")] = True,
    folder: Annotated[
        Path | None,
        typer.Option(help="Keep the screens here for the next time, about 70 GB. Default: nothing is kept."),
    ] = None,
) -> None:
    """Measure wall time and peak memory of scoring, each run in a process of its own, and print tables (markdown).

    Screens and predictions are simulated (python -m benchmarks.screens):

    small: 50 perturbations, 17,183 cells x 5,000 genes, season 2025
    controls: 10 perturbations and all control cells of season 2025
    2026: 30 perturbations and all control cells of season 2026
    full2025: all of season 2025; ours alone, other tools need over 24 GB
    full2026: the same for one context of season 2026
    upload2026: the same for all three contexts, and as an upload
    test: the rank-sum test alone, on the cells of small, in memory; and
    streamed from the file, as crispyx does
    tiny, tiny2026, tinytest: for trying, in a minute

    cold: from files to scores; ours prepares the screen too. A score of
    2026 needs a baseline and a replicate, and cell-eval2 makes them as well.
    warm: the screen is prepared; cell-eval has its DE table of the screen,
    cell-eval2 its cache.

    All of it takes about two hours on 2 cores, 24 GB of memory and 60 GB of
    disk. Everyone runs on a tiny screen first, to compile.

    Example: python -m benchmarks.scoring --size small --size 2026 --folder /tmp/bench
    """
    chosen = [BENCHMARKS[name] for name in size or [name for name in BENCHMARKS if name not in TRYING]]
    peers = tuple(peer or Peer)
    print(f"{machine(VERSIONS)}\n")
    with _folder(folder) as kept:
        for trial in _trials(chosen, peers):
            _measure(trial, peers, kept, warm=warm)
        for benchmark in chosen:
            runs = _measure(benchmark, peers, kept, warm=warm)
            print(_table(benchmark, runs, kept / benchmark.screen), flush=True)


def _trials(chosen: list[Benchmark], peers: tuple[Peer, ...]) -> list[Benchmark]:
    """Give the tiny benchmarks that let everyone chosen compile; a test does so in its own process."""
    used = {peer for benchmark in chosen if not benchmark.test for peer in benchmark.peers if peer in peers}
    seasons = {SCREENS[benchmark.screen].rule_set for benchmark in chosen if not benchmark.test}
    return [
        Benchmark(screen, tuple(used & set(BENCHMARKS[screen].peers)))
        for screen in ("tiny", "tiny2026")
        if SCREENS[screen].rule_set in seasons
    ]


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        yield Path(folder)


def _measure(benchmark: Benchmark, peers: tuple[Peer, ...], kept: Path, *, warm: bool) -> list[Run]:
    """Make what is missing of the files, and measure everyone on them in turn."""
    files = kept / benchmark.screen
    name, rule_set = benchmark.screen, SCREENS[benchmark.screen].rule_set
    chosen = [peer for peer in benchmark.peers if peer in peers]
    _write_files(name, files, Form.csr)
    with tempfile.TemporaryDirectory(prefix="runs-", dir=kept) as work:
        out = Path(work)
        if benchmark.test:
            in_memory = [_test(peer, real_path(files), out) for peer in chosen if peer is not Peer.crispyx]
            streamed = [_test(peer, real_path(files), out, streamed=True) for peer in chosen if peer in STREAMED]
            return in_memory + streamed
        runs = []
        for peer in chosen:
            if peer is Peer.ours:
                runs += _ours(rule_set, files, out, warm=warm)
            elif peer is Peer.cell_eval:
                runs += _cell_eval(files, out, warm=warm)
            else:
                _write_files(name, files, Form.with_controls)
                runs += _cell_eval2(files, out, warm=warm)
        if warm and Peer.ours in chosen:
            for form in benchmark.forms:
                _write_files(name, files, form)
                prediction = prediction_path(files / form.value)
                runs.append(_run(Peer.ours, f"warm, {form} file", _score(rule_set, prediction, out), out))
                shutil.rmtree(prediction.parent)
            if benchmark.packed:
                runs += _ours_packed(rule_set, files, out)
        return runs


def _write_files(screen: str, folder: Path, form: Form) -> None:
    """Write files in a process of its own: a child's peak of memory begins at its parent's."""
    command = [sys.executable, "-m", "benchmarks.screens", screen, str(folder), "--form", form.value]
    if subprocess.run(command, check=False).returncode:
        raise typer.Exit(2)  # it said why


def _ours(rule_set: str, files: Path, out: Path, *, warm: bool) -> list[Run]:
    score = _score(rule_set, prediction_path(files), out)
    runs = [_run(Peer.ours, "cold", [*score, "--real", real_path(files)], out)]
    if warm and not runs[0].verdict:
        runs.append(_run(Peer.ours, "warm", score, out))
    if rule_set == "vcc2026" and not runs[0].verdict:
        alone = out / "alone"
        command = [sys.executable, "-m", "benchmarks.peers", "ours-2026", real_path(files), prediction_path(files)]
        runs.append(_compared(_run(Peer.ours, ALONE, [*command, "--out", alone], out), alone, out))
    return runs


def _ours_packed(rule_set: str, files: Path, out: Path) -> list[Run]:
    """Pack the prediction, and score the upload against the screen prepared before."""
    upload = out / prediction_path(files).with_suffix(".vcc").name
    year = rule_set.removeprefix("vcc")
    pack = [STARTER, "pack", prediction_path(files), "--out", upload, "--season", year]
    packed = _run(Peer.ours, "pack", pack, out)
    if packed.verdict:
        return [packed]
    return [packed, _run(Peer.ours, "warm, .vcc", _score(rule_set, upload, out), out)]


def _score(rule_set: str, prediction: Path, out: Path) -> list[str | Path]:
    return [STARTER, "score", prediction, "--truth", out / "truth", "--profile", rule_set, "--out", out / "scores"]


def _cell_eval(files: Path, out: Path, *, warm: bool) -> list[Run]:
    cold, again = out / "cell-eval", out / "cell-eval-warm"
    command = [sys.executable, "-m", "benchmarks.peers", "cell-eval", real_path(files), prediction_path(files)]
    runs = [_compared(_run(Peer.cell_eval, "cold", [*command, "--out", cold], out), cold, out)]
    if warm and (cold / REAL_DE).is_file():
        de = ["--out", again, "--de-real", cold / REAL_DE]
        runs.append(_compared(_run(Peer.cell_eval, "warm", [*command, *de], out), again, out))
    return runs


def _cell_eval2(files: Path, out: Path, *, warm: bool) -> list[Run]:
    cold, again = out / "cell-eval2", out / "cell-eval2-warm"
    prediction = prediction_path(files / Form.with_controls.value)
    command = [sys.executable, "-m", "benchmarks.peers", "cell-eval2", real_path(files), prediction, "--out"]
    runs = [_compared(_run(Peer.cell_eval2, ALONE, [*command, cold], out), cold, out)]
    scored = out / "cell-eval2-score"
    runs.append(_compared(_run(Peer.cell_eval2, "cold", [*command, scored, "--score"], out), scored, out))
    if warm and not runs[0].verdict.startswith("failed"):
        cached = [*command, again, "--cache", out / "cache"]
        if not _run(Peer.cell_eval2, "fill the cache", cached, out).verdict:
            runs.append(_compared(_run(Peer.cell_eval2, "warm", cached, out), again, out))
    return runs


def _compared(measured: Run, theirs: Path, out: Path) -> Run:
    """Say whether another tool's scores are ours."""
    cards = list((out / "scores").glob("*/scorecard.json"))
    if measured.verdict:
        return measured
    if not cards:
        return dataclasses.replace(measured, verdict="not compared")
    rows = json.loads(cards[0].read_text(encoding="utf-8"))["metrics"]
    ours = {name: row["value"] for name, row in rows.items()}
    ours |= {f"{name}, {SCALED}": row["scaled"] for name, row in rows.items()}
    scores = json.loads((theirs / SCORES).read_text(encoding="utf-8"))
    both = sorted(set(ours) & set(scores))
    return _judged(
        measured, [ours[name] for name in both], [scores[name] for name in both], f"{len(both)} numbers", SAME
    )


def _test(peer: Peer, real: Path, out: Path, *, streamed: bool = False) -> Run:
    """Time a test without compiling, and compare its p or z with ours of cells in memory."""
    name = f"{peer}-streamed" if streamed else peer
    command = [sys.executable, "-m", "benchmarks.peers", "rank-sum", real, "--out", out / name, "--tool", peer.value]
    what = "test, streamed" if streamed else "test"
    measured = _run(peer, what, [*command, "--streamed"] if streamed else command, out)
    if measured.verdict:
        return measured
    theirs = np.load(out / name / TEST)
    measured = dataclasses.replace(measured, seconds=float(theirs["seconds"]), cpu=float(theirs["cpu"]))
    if name == Peer.ours or not (out / Peer.ours / TEST).is_file():
        return measured
    ours, key = np.load(out / Peer.ours / TEST), "p" if "p" in theirs else "z"
    scale = 1 + np.abs(ours[key])
    tests = f"{scale.size:,} {key}"
    return _judged(measured, ours[key] / scale, theirs[key] / scale, tests, SAME if key == "p" else SAME_Z)


def _judged(measured: Run, ours: list | np.ndarray, theirs: list | np.ndarray, what: str, same: float) -> Run:
    """Say how many numbers differ, and by how much at most."""
    # a value that is not defined is null in a scorecard
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    difference = np.abs(ours - theirs)
    difference[np.isnan(ours) & np.isnan(theirs)] = 0
    n_other = int((~(difference <= same)).sum())
    if not difference.size:
        verdict = "nothing in common"
    else:
        verdict = f"{f'{n_other:,} differ' if n_other else 'equal'} ({what}, by up to {difference.max():.1g})"
    return dataclasses.replace(measured, verdict=verdict)


def _run(peer: Peer, what: str, command: list[str | Path], out: Path) -> Run:
    """Run a command to its end; what it prints is shown only if it fails."""
    out.mkdir(parents=True, exist_ok=True)
    with spinner(f"{peer}: {what}"):
        seen = watch(command, out / "log.txt")
    took = f"{seen.seconds:.1f} s ({seen.cpu:.1f} s of processors), {seen.peak / 2**30:.2f} GiB"
    typer.echo(f"{peer}, {what}: {took} {seen.failure}".rstrip(), err=True)
    return Run(peer, what, seen.seconds, seen.cpu, seen.peak, seen.failure)


def _table(benchmark: Benchmark, runs: list[Run], files: Path) -> str:
    ours = {measured.what: measured for measured in runs if measured.peer is Peer.ours}
    lines = [
        f"{_described(benchmark.screen, files)}\n",
        "| tool | run | seconds | times ours | CPU, s | times ours | peak, GiB | times ours | scores, against ours |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for measured in runs:
        mine = ours.get(measured.what)
        cells = []
        for value, own, unit in (
            (measured.seconds, mine and mine.seconds, 1),
            (measured.cpu, mine and mine.cpu, 1),
            (measured.peak, mine and mine.peak, 2**30),
        ):
            times = f"{value / own:.1f}" if own and measured.peer is not Peer.ours else ""
            cells += [f"{value / unit:.2f}" if unit > 1 else f"{value:.1f}", times]
        lines.append(f"| {measured.peer} | {measured.what} | {' | '.join(cells)} | {measured.verdict} |")
    return "\n".join(lines) + "\n"


def _described(screen: str, files: Path) -> str:
    with h5py.File(real_path(files)) as file:
        n_cells, n_genes = file["X"].attrs["shape"]
        n_values = file["X"]["data"].size
        labels = file["obs"][TARGET_GENE]
        names = labels["categories"].asstr()[:].tolist()
        n_control = int((labels["codes"][:] == names.index(CONTROL)).sum())
    return (
        f"**{screen}** (simulated; rules {SCREENS[screen].rule_set}): {len(names) - 1} perturbations, {n_cells:,} "
        f"cells of which {n_control:,} controls, {n_genes:,} genes, density {n_values / n_cells / n_genes:.3f}, "
        f"{n_values / n_cells:,.0f} genes seen in a cell"
    )


if __name__ == "__main__":
    run(app)
