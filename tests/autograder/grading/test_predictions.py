"""Predictions that students hand in: opened in the sandbox, scored outside, points by the rubric."""

import io
import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse
import zstandard
from handing_in import RIGHT, STAGE, grade_one, submit

from autograder.course import Course, read_course
from autograder.grading import predictions
from autograder.grading.grade import grade_stage
from autograder.grading.judge import Verdict
from autograder.grading.predictions import score_file
from autograder.grading.results import QuestionResult
from autograder.grading.rubric import Scored, by_rubric
from autograder.handed_in.submissions import Submission
from autograder.sandbox.run import from_scratch
from autograder.settings import Goal, Prediction
from starter.answers import values
from starter.data.preprocess import expression
from starter.errors import Finding, InputError
from starter.prediction import pack
from starter.prediction.requirements import requirements_of_course
from starter.schema import CONTROL, TARGET_GENE
from starter.scoring.scorecard import number, score_prediction
from starter.scoring.truth.opened import open_truth


@pytest.fixture(scope="session")
def measured(released: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hidden cells themselves, as whoever got hold of them would hand them in."""
    hidden = anndata.read_h5ad(released.hidden_folder / "hidden.h5ad")
    hidden.X = expression(hidden)
    path = tmp_path_factory.mktemp("measured") / "prediction.h5ad"
    anndata.AnnData(hidden.X, obs=hidden.obs[[TARGET_GENE]], var=hidden.var[[]]).write_h5ad(path)
    return path


def prediction_of(course: Course, student: str) -> QuestionResult:
    (question,) = (question for question in grade_one(course, student).questions if question.name == "prediction")
    return question


def test_a_prediction_is_scored_as_starter_scores_it_and_flags_hold_it(
    sandbox_here: None, course: Course, train_mean: Path, measured: Path
):
    for student, file in (("ada", train_mean), ("bob", measured)):
        shutil.copyfile(file, submit(course, student, RIGHT) / "prediction.h5ad")
    truth = open_truth(course.hidden_folder / "truth")
    ada, bob = (prediction_of(course, student) for student in ("ada", "bob"))
    for student, file in (("ada", train_mean), ("bob", measured)):
        card = score_prediction(file, truth, "course")
        written = json.loads((course.grading / "scorecards" / STAGE / student / "scorecard.json").read_text())
        assert written["overall"] == pytest.approx(card.overall, rel=1e-6)
        assert {path.suffix for path in (course.grading / "scorecards" / STAGE / student).iterdir()} == {
            *(".csv", ".html", ".json", ".parquet", ".png")
        }
    overall = score_prediction(train_mean, truth, "course").overall
    assert ada.points == pytest.approx(5 * min(max(overall / 0.6, 0), 1), abs=0.005)
    assert 0 < ada.points < 1
    assert ada.reason == f"scaled scores (0 for the train mean, 1 for a replicate): overall {number(overall)}"
    assert ada.called == "prediction.h5ad"
    assert ada.due == "overall from 0 (nothing) to 0.6 (all points)"
    assert (bob.points, bob.max) == (5, 5)
    assert bob.held.startswith("above_replicate: ")


def test_an_upload_is_scored_as_the_file_it_holds(sandbox_here: None, course: Course, train_mean: Path, tmp_path: Path):
    upload = submit(course, "ada", RIGHT) / "prediction.vcc"
    copy = Path(shutil.copyfile(train_mean, tmp_path / "prediction.h5ad"))
    pack.pack(copy, upload, requirements_of_course(course.public_folder))
    shutil.copyfile(train_mean, submit(course, "bob", RIGHT) / "prediction.h5ad")
    ada, bob = (prediction_of(course, student) for student in ("ada", "bob"))
    assert (ada.points, ada.reason) == (bob.points, bob.reason)


def test_without_a_notebook_the_prediction_counts_all_the_same(sandbox_here: None, course: Course, measured: Path):
    folder = submit(course, "ada", RIGHT)
    shutil.copyfile(measured, folder / "prediction.h5ad")
    (folder / f"{STAGE}.ipynb").unlink()
    result = grade_one(course)
    assert {question.name: question.points for question in result.questions} == {"train_mean": 0, "prediction": 5}


def test_a_prediction_that_is_not_there_is_named(sandbox_here: None, course: Course, measured: Path):
    folder = submit(course, "ada", RIGHT)
    (folder / "prediction.h5ad").symlink_to(measured)
    assert prediction_of(course, "ada").reason == "there is no prediction.h5ad in the submission"


def test_a_prediction_that_is_too_large_is_left_out(sandbox_here: None, course: Course, measured: Path):
    path = course.root / "course.toml"
    path.write_text(path.read_text().replace("seconds = 60", "seconds = 60\nprediction_mib = 1"))
    small = read_course(course.root)
    with (submit(small, "ada", RIGHT) / "prediction.h5ad").open("wb") as file:
        file.truncate(2 << 20)
    result = grade_one(small)
    assert result.questions[0].points == 5
    assert result.notes == ["prediction.h5ad was left out: a prediction has at most 1 MiB"]


def test_a_changed_rubric_changes_the_points(sandbox_here: None, course: Course, train_mean: Path):
    shutil.copyfile(train_mean, submit(course, "ada", RIGHT) / "prediction.h5ad")
    assert prediction_of(course, "ada").points < 1
    path = course.root / "course.toml"
    text = path.read_text()
    goal = '{ rubric = [{ metric = "centroid_accuracy", zero = -2.0, full = -1.0 }] }'
    path.write_text(text.replace("prediction = {}", f"prediction = {goal}"))
    changed = prediction_of(read_course(course.root), "ada")
    assert (changed.points, changed.due) == (5, "centroid accuracy from -2 (nothing) to -1 (all points)")
    path.write_text(text.replace("prediction = {}", 'prediction = { rubric = [{ metric = "mea" }] }'))
    with pytest.raises(InputError, match="the rubric of 04_baselines names 'mea'; the profile course scores overall, "):
        grade_stage(read_course(course.root), STAGE)


def changed(change: Callable[[anndata.AnnData], anndata.AnnData | None]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        adata = anndata.read_h5ad(path)
        (change(adata) or adata).write_h5ad(path)

    return write


def set_value(value: float) -> Callable[[anndata.AnnData], None]:
    def change(adata: anndata.AnnData) -> None:
        adata.X.data[5] = value

    return changed(change)


def edited(change: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)

    return write


def bomb(file: h5py.File) -> None:
    """A few megabytes that unfold to hundreds of gigabytes of ones."""
    shape = file["X"].attrs["shape"]
    del file["X"]
    x = file.create_dataset("X", (400_000_000, shape[1]), "f4", chunks=(1_000_000, 50), compression="gzip", fillvalue=1)
    x.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    x[:1_000_000, :50] = 1
    for key in ("_index", TARGET_GENE):
        del file["obs"][key]
        file["obs"].create_dataset(key, (400_000_000,), "S4", chunks=(1_000_000,), compression="gzip")


def outside(file: h5py.File) -> None:
    del file["X"]
    file["X"] = h5py.ExternalLink("/etc/passwd", "/X")


def huge_attribute(file: h5py.File) -> None:
    """Attributes beyond 64 kB are kept apart, and read at once by whoever asks for them."""
    del file["obs"].attrs["column-order"]
    dtype = h5py.string_dtype()
    file["obs"].attrs.create("column-order", np.array(["x" * 1_000_000] * 200, object), dtype=dtype)


DAMAGED: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "prediction.h5ad is not an .h5ad file"),
    "half": (lambda path: path.write_bytes(path.read_bytes()[:20_000]), "prediction.h5ad cannot be read: it is trunc"),
    "a pickle": (lambda path: path.write_bytes(b"\x80\x04cos\nsystem\n"), "prediction.h5ad is not an .h5ad file"),
    "NaN": (set_value(np.nan), "NaN"),
    "negative": (set_value(-1.0), "negative"),
    "no controls": (changed(lambda adata: adata[adata.obs[TARGET_GENE] != CONTROL].copy()), "non-targeting"),
    "other genes": (changed(lambda adata: adata[:, ::-1].copy()), "the genes are those due, but in another order"),
    "one missing": (
        changed(lambda adata: adata[adata.obs[TARGET_GENE] != adata.obs[TARGET_GENE].iloc[-1]].copy()),
        "miss",
    ),
    "another file's": (edited(outside), "prediction.h5ad cannot be read: KeyError"),
    "a bomb of HDF5": (edited(bomb), "prediction.h5ad cannot be read: it takes more memory than there is"),
    "a huge attribute": (edited(huge_attribute), "prediction.h5ad"),
    "wild pointers": (
        edited(lambda file: file["X"]["indices"].write_direct(np.full(file["X"]["indices"].shape, 1 << 30, np.int32))),
        "X is damaged",
    ),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_what_cannot_be_scored_earns_nothing_and_is_explained(
    sandbox_here: None, released: Course, train_mean: Path, tmp_path: Path, damage: str
):
    change, said = DAMAGED[damage]
    file = Path(shutil.copyfile(train_mean, tmp_path / "prediction.h5ad"))
    change(file)
    scored = scored_of(released, file)
    assert (scored.verdict.share, scored.held) == (0, "")
    assert said in scored.verdict.reason
    assert str(tmp_path) not in scored.verdict.reason


def scored_of(course: Course, file: Path) -> Scored:
    file.parent.chmod(0o755)
    work = file.parent / "work"
    work.mkdir()
    return score_file(Submission(course, STAGE, "nobody"), file, work)


@pytest.mark.parametrize("step", ["write_h5ad", "open_h5ad", "write_scorecard"])
def test_a_failure_of_ours_is_listed_and_tried_again(
    sandbox_here: None, course: Course, train_mean: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    folder = submit(course, "ada", RIGHT)
    shutil.copyfile(train_mean, folder / "prediction.h5ad")

    def fails(*arguments: object, **named: object) -> None:
        msg = "cannot write here: No space left on device"
        raise InputError(msg) from OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(predictions, step, fails)
        if step == "open_h5ad":  # the check could not read it either
            finding = Finding("error", "unable to lock file")
            broken.setattr(predictions, "check_prediction", lambda *arguments: [finding])
        results, failed = grade_stage(course, STAGE)
    assert results == []
    assert failed == {"ada": "not graded: cannot write here: No space left on device"}
    assert not Submission(course, STAGE, "ada").result.exists()
    assert grade_one(course).questions[1].reason.startswith("scaled scores")


def test_where_the_sandbox_was_stopped_a_person_looks(
    sandbox_here: None, course: Course, train_mean: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = submit(course, "ada", RIGHT)
    shutil.copyfile(train_mean, folder / "prediction.h5ad")
    real = predictions.run.run

    def slow(command: list[str], **named: object) -> object:
        outcome = real(command, **named)
        return replace(outcome, status="time") if "read_prediction" in command[0] else outcome

    monkeypatch.setattr(predictions.run, "run", slow)
    question = grade_one(course).questions[1]
    assert question.reason.startswith("prediction.h5ad cannot be scored: opening it took longer than 60 s")
    assert (question.points, question.held) == (0, question.reason)


@pytest.mark.parametrize(
    ("returncode", "said"), [(137, "the sandbox was killed"), (1, "the sandbox did not start (bwrap: no room)")]
)
def test_a_sandbox_that_the_machine_ended_is_listed_and_tried_again(
    sandbox_here: None, course: Course, train_mean: Path, monkeypatch: pytest.MonkeyPatch, returncode: int, said: str
):
    folder = submit(course, "ada", RIGHT)
    shutil.copyfile(train_mean, folder / "prediction.h5ad")
    real = predictions.run.run

    def ended(command: list[str], **named: object) -> object:
        outcome = real(command, **named)
        changed = replace(outcome, returncode=returncode, errors="bwrap: no room")
        return changed if "read_prediction" in command[0] else outcome

    with monkeypatch.context() as broken:
        broken.setattr(predictions.run, "run", ended)
        results, failed = grade_stage(course, STAGE)
    assert results == []
    assert said in failed["ada"]
    assert grade_one(course).questions[1].reason.startswith("scaled scores")


def test_a_bomb_of_zstandard_is_stopped(
    sandbox_here: None, released: Course, train_mean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An upload in whose place zeros unfold; the frame does not state how many."""
    import tarfile

    upload = tmp_path / "prediction.vcc"
    copy = Path(shutil.copyfile(train_mean, tmp_path / "prediction.h5ad"))
    pack.pack(copy, upload, requirements_of_course(released.public_folder))
    with tarfile.open(upload) as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive}
    (name,) = (name for name in members if name.endswith(".zst"))
    writer = zstandard.ZstdCompressor().compressobj()
    members[name] = b"".join(writer.compress(bytes(1 << 24)) for _ in range(100)) + writer.flush()
    with tarfile.open(upload, "w") as archive:
        for member, content in members.items():
            about = tarfile.TarInfo(member)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    scored = scored_of(released, upload)
    assert scored.verdict.share == 0
    assert "GB when unpacked, more than a prediction needs" in scored.verdict.reason


def frame(name: str, content: bytes) -> bytes:
    return struct.pack(">HQ", len(name), len(content)) + name.encode() + content


def stream(labels: object, genes: object, *blocks: object, stored: bytes = b"100", end: bool = True) -> bytes:
    parts = [frame("labels", values.encode(labels)), frame("genes", values.encode(genes)), frame("stored", stored)]
    parts += [frame("cells", values.encode(block)) for block in blocks]
    return b"".join([*parts, frame("end", b"") if end else b""])


LABELS, GENES = {TARGET_GENE: np.array(["A", "B"])}, np.array(["g", "h", "i"])
BLOCK = scipy.sparse.csr_matrix(np.array([[1.0, 0, 2], [0, 3, 0]], np.float32))


def test_what_comes_out_is_written_anew(released: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sent = stream(LABELS, GENES, BLOCK[:1], BLOCK[1:])
    monkeypatch.setattr(predictions, "_run", lambda *given: given[4].write_bytes(sent))
    given = released, Path("x.h5ad"), released.stages[STAGE].prediction, 3, tmp_path, from_scratch
    plain = predictions._written_anew(*given)
    made = anndata.read_h5ad(plain)
    np.testing.assert_array_equal(made.X.toarray(), BLOCK.toarray())
    assert (list(made.obs[TARGET_GENE]), list(made.var_names)) == (["A", "B"], list(GENES))


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "its labels did not come out"),
        (stream(LABELS, GENES, BLOCK, end=False), "2 of 2 cells came out"),
        (stream(LABELS, GENES, BLOCK[:1]), "1 of 2 cells came out"),
        (stream(LABELS, GENES, BLOCK, BLOCK), "2 of 2 cells came out"),
        (stream(LABELS, GENES, BLOCK[:, :2]), "0 of 2 cells came out"),
        (stream(LABELS, GENES, BLOCK.toarray()), "0 of 2 cells came out"),
        (stream({"X": np.array(["A"])}, GENES, BLOCK), "it came out of the sandbox damaged"),
        (stream(LABELS, "genes", BLOCK), "it came out of the sandbox damaged"),
        (stream(LABELS, GENES, BLOCK, stored=b"many"), "it came out of the sandbox damaged"),
        (stream(LABELS, GENES, BLOCK, stored=b"9" * 5000), "it came out of the sandbox damaged"),
        (stream(LABELS, GENES[None], BLOCK), "it came out of the sandbox damaged"),
        (stream({TARGET_GENE: np.array([["A", "B"]])}, GENES, BLOCK), "it came out of the sandbox damaged"),
        (stream(LABELS | {"context": np.array(["x"])}, GENES, BLOCK), "it came out of the sandbox damaged"),
        (stream(LABELS, GENES, BLOCK[:0], BLOCK), "0 of 2 cells came out"),
        (frame("labels", b"junk"), "the value is damaged"),
        (frame("genes", values.encode(GENES)), "its labels did not come out"),
    ],
)
def test_a_forged_stream_is_refused(
    released: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes, said: str
):
    monkeypatch.setattr(predictions, "_run", lambda *given: given[4].write_bytes(sent))
    given = released, Path("x.h5ad"), released.stages[STAGE].prediction, 3, tmp_path, from_scratch
    with pytest.raises(InputError, match=said):
        predictions._written_anew(*given)
    assert not (tmp_path / "prediction.h5ad").exists()


def test_points_by_hand():
    known = [SimpleNamespace(name="mae", title="MAE"), SimpleNamespace(name="pds", title="PDS")]
    rules = SimpleNamespace(metrics=known, full_score="replicate")
    flag = SimpleNamespace(name="depth", level="flag", text="cells are too deep")
    told = SimpleNamespace(name="list", level="information", text="the same list")
    card = SimpleNamespace(
        name="prediction",
        rules=rules,
        overall=0.3,
        metrics={"mae": {"scaled": -0.5}, "pds": {"scaled": None}},
        flags=[flag, told],
    )
    scored = by_rubric(card, Prediction(rubric=[Goal(weight=3.0), Goal(metric="mae", zero=-1.0, full=1.0)]))
    assert scored.verdict == Verdict(
        3 / 4 * 0.3 / 0.6 + 1 / 4 * 0.25,
        "scaled scores (0 for the train mean, 1 for a replicate): overall 0.300, MAE -0.500",
        "",
        "overall 0.300, MAE -0.500",
        "overall from 0 (nothing) to 0.6 (all points), MAE from -1 (nothing) to 1 (all points)",
    )
    assert scored.held == "depth: cells are too deep"
    undefined = by_rubric(card, Prediction(rubric=[Goal(metric="pds")]))
    assert undefined.verdict.share == 0
    assert undefined.held == "depth: cells are too deep; PDS has no scaled score on this screen"
    assert by_rubric(card, Prediction(rubric=[Goal(zero=0.0, full=0.1)])).verdict.share == 1
    assert by_rubric(card, Prediction(rubric=[Goal(zero=0.5, full=0.9)])).verdict.share == 0


def ahead_card(
    unclipped: float | None, mae: tuple[float | None, ...], pds: tuple[float | None, ...]
) -> SimpleNamespace:
    """A scorecard by the rules of 2025: what is left of the overall score with nothing clipped, and gains."""
    names = ("difference", "difference_low", "difference_high")
    rows = {
        "mae": {"scaled": 0.0, "unclipped": -0.25, "direction": "lower", **dict(zip(names, mae, strict=True))},
        "pds": {"scaled": 0.09, "unclipped": 0.09, "direction": "higher", **dict(zip(names, pds, strict=True))},
    }
    metrics = [SimpleNamespace(name="mae", title="MAE"), SimpleNamespace(name="pds", title="PDS")]
    rules = SimpleNamespace(metrics=metrics, scored=("mae", "pds"), full_score="perfection")
    return SimpleNamespace(rules=rules, overall=0.04, overall_unclipped=unclipped, metrics=rows, flags=[])


def test_what_must_be_ahead_by_hand():
    settings = Prediction(rubric=[Goal(full=0.08)], ahead=["overall", "pds"])
    both = by_rubric(ahead_card(0.01, (0.1, 0.05, 0.2), (0.1, 0.001, 0.2)), settings)
    scores = "scaled scores (0 for the train mean, 1 for a perfect prediction): overall 0.0400"
    assert both == Scored(
        Verdict(
            0.5,
            scores,
            came="overall 0.0400",
            due="overall from 0 (nothing) to 0.08 (all points), overall above 0 with nothing clipped, PDS better than "
            "the train mean's by more than chance",
        ),
        "",
    )
    neither = by_rubric(ahead_card(-0.08, (0.1, 0.05, 0.2), (0.1, -0.02, 0.2)), settings)
    assert (neither.verdict.share, neither.held) == (0, "")
    assert neither.verdict.reason == (
        "no points, since overall is -0.0800 with nothing clipped, and must be above 0; below the train mean is MAE "
        "-0.250 and PDS's gain over the train mean on the same perturbations is 0.100, with a 95 % interval from "
        f"-0.0200 to 0.200, all of which must be above 0; {scores}"
    )
    for short in (ahead_card(0.0, (0, 0, 0), (0.1, 0.01, 0.2)), ahead_card(0.01, (0, 0, 0), (0.1, 0.0, 0.2))):
        assert by_rubric(short, settings).verdict.share == 0  # the limit itself is not above it


def test_of_a_metric_in_which_less_is_better_the_gain_is_turned_round():
    settings = Prediction(rubric=[Goal(full=0.08)], ahead=["mae"])
    assert by_rubric(ahead_card(-1.0, (-0.1, -0.2, -0.05), (0, 0, 0)), settings).verdict.share == 0.5
    worse = by_rubric(ahead_card(-1.0, (-0.1, -0.2, 0.05), (0, 0, 0)), settings).verdict
    assert worse.share == 0
    assert "is 0.100, with a 95 % interval from -0.0500 to 0.200" in worse.reason


def test_what_a_screen_cannot_tell_holds_the_points():
    settings = Prediction(rubric=[Goal(full=0.08)], ahead=["overall", "pds"])
    scored = by_rubric(ahead_card(None, (0, 0, 0), (0.1, None, None)), settings)
    assert scored.verdict.share == 0
    assert scored.held == (
        "overall has no scaled score on this screen; PDS's gain over the train mean has no interval on this screen"
    )


def test_a_prediction_is_scored_by_the_rules_that_the_course_names(
    sandbox_here: None, course: Course, train_mean: Path
):
    shutil.copyfile(train_mean, submit(course, "ada", RIGHT) / "prediction.h5ad")
    path = course.root / "course.toml"
    text = path.read_text()
    asked = '{ profile = "vcc2025", rubric = [{ metric = "mae", zero = -1.0 }], ahead = ["discrimination_score_l1"] }'
    path.write_text(text.replace("prediction = {}", f"prediction = {asked}"))
    question = prediction_of(read_course(course.root), "ada")
    assert question.points == 0
    assert question.held == "PDS's gain over the train mean has no interval on this screen"  # of 6 perturbations
    card = score_prediction(train_mean, open_truth(course.hidden_folder / "truth"), "vcc2025")
    assert question.came == f"MAE {number(card.metrics['mae']['scaled'])}"
    path.write_text(text.replace("prediction = {}", 'prediction = { profile = "vcc2025", ahead = ["weighted_mse"] }'))
    with pytest.raises(InputError, match="the ahead of 04_baselines names 'weighted_mse'; the profile vcc2025 scores"):
        grade_stage(read_course(course.root), STAGE)
    about = course.hidden_folder / "truth" / "truth.json"
    about.write_text(about.read_text().replace('"vcc2025":', '"vcc2024":'))
    path.write_text(text.replace("prediction = {}", 'prediction = { profile = "vcc2025" }'))
    with pytest.raises(InputError, match="was prepared for course, vcc2024, .*, not for vcc2025"):
        grade_stage(read_course(course.root), STAGE)
