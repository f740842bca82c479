import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import anndata
import nbformat
import numpy as np
import pytest

from autograder.course import Course, read_course
from autograder.release.data import release_data
from autograder.release.notebooks import release
from autograder.release.student_kit import students_settings, write_kit
from starter.answers import values
from starter.data import dataset
from starter.data.split import make_split, read_split
from starter.errors import InputError
from starter.files import sha256
from starter.schema import CONTROL
from starter.scoring.truth import opened
from starter.simulation.setup import SIZES, Size

STAGE = "04_baselines"
ROOT = Path(__file__).parents[3]


def test_hidden_cells_are_not_in_what_students_get(released: Course):
    split = read_split(released.public_folder / "split.json")
    hidden = set(split.pairs("hidden").get_level_values("perturbation"))
    train = dataset.read_screen(released.public_folder / "train.h5ad")
    assert len(hidden) == 6
    assert not hidden & set(train.obs["target_gene"])
    assert not hidden & set(train.obs["target_gene"].cat.categories)
    kept = dataset.read_screen(released.hidden_folder / "hidden.h5ad")
    assert set(kept.obs["target_gene"]) == hidden | {CONTROL}
    controls = [set(part.obs_names[part.obs["target_gene"] == CONTROL]) for part in (train, kept)]
    assert controls[0] == controls[1]
    assert not (set(train.obs_names) & set(kept.obs_names)) - controls[0]


def test_students_know_the_names_and_the_number_of_cells(released: Course):
    content = json.loads((released.public_folder / "split.json").read_text())
    parts = [pair["part"] for pair in content["pairs"]]
    assert {part: parts.count(part) for part in set(parts)} == {"train": 14, "public": 4, "hidden": 6}
    assert all(pair["n_cells"] >= 60 for pair in content["pairs"])


def test_nothing_secret_is_in_the_students_folders(released: Course):
    files = [
        path for folder in ("data", "assignments") for path in (released.root / folder).rglob("*") if path.is_file()
    ]
    names = {path.name for path in files}
    priors = ("graph.tsv", "features.parquet", "annotations.tsv", "pathways.tsv", "regulons.tsv", "genome.tsv")
    priors = {f"simulated_{name}" for name in (*priors, "other_context.parquet")}
    beside = {"train_mean.npz", "questions.json", "glossary.md"}
    assert names == {"train.h5ad", "split.json", *priors, "04_baselines.ipynb", *beside}
    secret = released.secret().hex().encode()
    assert not any(secret in path.read_bytes() for path in files)


def test_the_students_notebook_has_blanks_and_no_solution(released: Course):
    notebook = nbformat.read(released.root / "assignments" / STAGE / f"{STAGE}.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells)
    assert text.count("raise NotImplementedError('this part is yours") == 1
    assert "SOLUTION" not in text
    assert "labels = [label" not in text
    assert not any(cell.get("outputs") for cell in notebook.cells)


def test_public_cases_lie_beside_the_notebook(released: Course):
    content = values.decode((released.root / "assignments" / STAGE / "checks" / "train_mean.npz").read_bytes())
    assert len(content["cases"]) == 3
    assert set(content["cases"][0]) == {"inputs", "due", "mistakes"}


def test_the_hidden_truth_is_prepared(released: Course):
    prepared = opened.open_truth(released.hidden_folder / "truth")
    split = read_split(released.public_folder / "split.json")
    assert prepared.contexts == {"one context": list(split.pairs("hidden").get_level_values("perturbation"))}
    assert prepared.about["real"]["part"] == "hidden"
    assert prepared.about["train"]["sha256"] == sha256(released.public_folder / "train.h5ad")


def test_releasing_again_keeps_the_data(course: Course):
    before = {path: sha256(path) for path in course.public_folder.rglob("*") if path.is_file()}
    said = []
    release(course, said.append)
    assert {path: sha256(path) for path in before} == before
    assert said[0] == "kept the data in data/test-course, which were released before"


@pytest.mark.parametrize("change", ["rounding", "another number", "damage"])
def test_a_public_file_stays_if_it_differs_by_rounding_alone(course: Course, change: str):
    file = course.root / "assignments" / STAGE / "checks" / "train_mean.npz"
    made = file.read_bytes()
    content = values.decode(made)
    due = content["cases"][0]["due"]
    due *= 1 + (np.finfo(due.dtype).eps if change == "rounding" else 1e-3)
    there = b"half" if change == "damage" else values.encode(content)
    assert there != made
    file.write_bytes(there)
    release(course)
    assert file.read_bytes() == (there if change == "rounding" else made)


def test_other_settings_do_not_overwrite_what_students_have(course: Course):
    file = course.root / "course.toml"
    file.write_text(file.read_text().replace("hidden = 6", "hidden = 7"))
    with pytest.raises(InputError, match=r"was released with other settings \(hidden\); students have that data"):
        release(read_course(course.root))
    assert len(read_split(course.public_folder / "split.json").pairs("hidden")) == 6


def test_a_stopped_release_is_begun_anew(course: Course):
    (course.hidden_folder / "release.json").unlink()
    (course.public_folder / "train.h5ad").write_text("half")
    release(course)
    assert dataset.read_screen(course.public_folder / "train.h5ad").n_vars == 200


def fresh(course: Course, tmp_path: Path, **changes: str) -> Course:
    root = tmp_path / "fresh"
    shutil.copytree(course.root / "screen", root / "screen")
    for folder in ("solutions", "questions"):
        shutil.copytree(course.root / folder, root / folder)
    text = (course.root / "course.toml").read_text()
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    (root / "course.toml").write_text(text)
    return read_course(root)


def test_hidden_perturbations_can_be_named(released: Course, tmp_path: Path):
    names = dataset.perturbations(anndata.read_h5ad(released.root / "screen" / "simulated_default.h5ad"))
    named = fresh(released, tmp_path, hidden=("hidden = 6", f"hidden = {names[:2]}"))
    release(named)
    split = read_split(named.public_folder / "split.json")
    assert list(split.pairs("hidden").get_level_values("perturbation")) == names[:2]
    assert len(split.pairs("public")) == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("hidden = 6", "hidden = 20"), "hides and publishes 24 perturbations, and the screen has 24"),
        (("hidden = 6", "hidden = ['STAT1']"), "the screen has no perturbation STAT1"),
        (("simulated_default.h5ad", "nothing.h5ad"), "screen = 'screen/nothing.h5ad': there is no such file"),
        (('priors = "screen/priors"', 'priors = "nowhere"'), "priors = 'nowhere': there is no such folder"),
        (
            ('priors = "screen/priors"', 'priors = "solutions"'),
            "priors go to the students, and .*solutions is or holds",
        ),
        (('priors = "screen/priors"', 'priors = "."'), "priors go to the students, and .* is or holds .*grading"),
        (
            ('priors = "screen/priors"', 'priors = "screen"'),
            "priors go to the students, and .* is or holds .*default.h5ad",
        ),
        (("04_baselines", "05_cvae"), "there is no .*05_cvae.ipynb; copy the kit's solutions/ beside course.toml"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_written(
    released: Course, tmp_path: Path, change: tuple, said: str
):
    course = fresh(released, tmp_path, change=change)
    with pytest.raises(InputError, match=said):
        release(course)
    assert not course.public_folder.exists()


def test_a_simulated_course_without_a_seed_follows_from_its_secret(tmp_path: Path, released: Course):
    root = tmp_path / "secret"
    for folder in ("solutions", "questions"):
        shutil.copytree(released.root / folder, root / folder)
    text = '[course]\nname = "s"\n[data]\nhidden = 6\npublic = 4\n'
    (root / "course.toml").write_text(text)
    course = read_course(root)
    release_data(course, print)
    train = dataset.read_screen(course.public_folder / "train.h5ad")
    assert len(dataset.perturbations(train)) == 234
    from starter.simulation import biology

    names = set(read_split(course.public_folder / "split.json").table.index.get_level_values("perturbation"))
    assert names != set(biology.draw("default", 0).targets)


def test_a_simulated_course_may_be_of_another_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(SIZES, "vcc-small", Size(targets=24, genes=200, controls=300, min_cells=40, depth=12_000))
    (tmp_path / "course.toml").write_text(
        '[course]\nname = "s"\n[data]\nsize = "vcc-small"\npreset = "vcc"\nhidden = 6\npublic = 4\n'
    )
    course = read_course(tmp_path)
    release_data(course, print)
    train = dataset.read_screen(course.public_folder / "train.h5ad")
    assert train.uns["course"]["name"] == "simulated_vcc"
    assert len(dataset.perturbations(train)) == 18
    kept = json.loads((course.hidden_folder / "release.json").read_text())
    assert kept["size"] == "vcc-small"
    (tmp_path / "course.toml").write_text('[course]\nname = "s"\n[data]\nsize = "huge"\n')
    with pytest.raises(InputError, match=r"data\.size.*'course' or 'vcc-small'"):
        read_course(tmp_path)


def test_a_screen_that_does_not_describe_itself_is_described_by_the_course(released: Course, tmp_path: Path):
    course = fresh(released, tmp_path)
    path = course.root / "screen" / "simulated_default.h5ad"
    screen = anndata.read_h5ad(path)
    del screen.uns["course"]
    screen.obs = screen.obs[["target_gene"]]
    screen.var_names = ["MT-ND1", "MT-CO1", *screen.var_names[2:]]
    screen.write_h5ad(path)
    said = []
    release(course, said.append)
    train = dataset.read_screen(course.public_folder / "train.h5ad")
    assert train.uns["course"]["title"] == "test-course"
    control = screen[screen.obs["target_gene"] == CONTROL]
    assert train.uns["course"]["target_sum"] == np.median(np.asarray(control.X.sum(axis=1)))
    assert said[0].startswith("the screen has no obs['n_umis']: the sum over its 200 genes stands in")
    assert said[1] == "the screen has no obs['percent_mito']: it is taken from 2 genes named MT-..."
    assert said[2] == "the screen has no uns['course']: its description is taken from course.toml"
    row_sum, of_mitochondria = (np.asarray(x.sum(axis=1)).ravel() for x in (train.X, train.X[:, :2]))
    np.testing.assert_array_equal(train.obs["n_umis"], np.maximum(row_sum, 1))
    np.testing.assert_allclose(train.obs["percent_mito"], 100 * of_mitochondria / np.maximum(row_sum, 1))


def test_a_split_file_may_say_what_is_hidden(released: Course, tmp_path: Path):
    course = fresh(released, tmp_path, data=("hidden = 6\npublic = 4", 'split = "screen/split.json"'))
    names = dataset.perturbations(anndata.read_h5ad(course.root / "screen" / "simulated_default.h5ad"))
    screen = dataset.read_screen(course.root / "screen" / "simulated_default.h5ad")
    make_split(screen, names[:3], names[3:5]).write(course.root / "screen" / "split.json")
    release(course)
    split = read_split(course.public_folder / "split.json")
    assert list(split.pairs("hidden").get_level_values("perturbation")) == names[:3]


def test_a_screen_of_several_contexts_is_refused_before_anything_is_written(released: Course, tmp_path: Path):
    course = fresh(released, tmp_path)
    path = course.root / "screen" / "simulated_default.h5ad"
    screen = anndata.read_h5ad(path)
    screen.obs["context"] = np.where(np.arange(screen.n_obs) % 2, "K562", "RPE1")
    screen.write_h5ad(path)
    with pytest.raises(InputError, match="has the contexts K562, RPE1; a course is graded in one"):
        release(course)
    assert not course.public_folder.exists()


def test_the_students_kit_has_all_they_need_and_nothing_secret(released: Course, tmp_path: Path):
    worked_in = released.root / "assignments" / "04_baselines" / "my solution.ipynb"
    worked_in.touch()
    (released.public_folder / "notes.txt").touch()
    try:
        names = write_kit(released, ROOT, tmp_path / "kit.zip")
    finally:
        worked_in.unlink()
        (released.public_folder / "notes.txt").unlink()
    assert not [name for name in names if "my solution" in name or "notes" in name]
    assert {"README.md", "course.toml", "pyproject.toml", "constraints.txt", "starter/cli.py"} <= set(names)
    assert {"docs/install.md", "docs/metrics.md", "assignments/glossary.md"} <= set(names)
    assert {"data/test-course/train.h5ad", "assignments/04_baselines/checks/train_mean.npz"} <= set(names)
    assert not [name for name in names if re.search(r"autograder|solutions|grading|hidden|secret|tests/", name)]
    with zipfile.ZipFile(tmp_path / "kit.zip") as archive:
        archive.extractall(tmp_path / "kit")
    assert (tmp_path / "kit" / "course.toml").read_text() == students_settings(released)
    project = tomllib.loads((tmp_path / "kit" / "pyproject.toml").read_text())["project"]
    assert list(project["scripts"]) == ["starter"]
    for page in ("README.md", "docs/install.md"):
        for target in re.findall(r"\]\((?!http)([^)#]+)", (tmp_path / "kit" / page).read_text()):
            assert (tmp_path / "kit" / page).parent.joinpath(target).exists(), target
    assert "- --editable .[student]\n" in (tmp_path / "kit" / "environment.yml").read_text()
    # a notebook in it finds its data, with the kit's own starter
    code = "from starter.data.course import open_course; print(open_course().train().n_vars)"
    environment = {"PYTHONPATH": str(tmp_path / "kit"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    folder = tmp_path / "kit" / "assignments" / "04_baselines"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "200\n", done.stderr


def test_a_kit_is_a_zip(released: Course, tmp_path: Path):
    with pytest.raises(InputError, match="the kit is a .zip, and .*kit.tar is named otherwise"):
        write_kit(released, ROOT, tmp_path / "kit.tar")


def test_without_a_release_there_is_no_kit(released: Course, tmp_path: Path):
    with pytest.raises(InputError, match="there is no .*train.h5ad yet; run: autograder release"):
        write_kit(fresh(released, tmp_path), ROOT, tmp_path / "kit.zip")
    assert not (tmp_path / "kit.zip").exists()


def test_a_screen_in_the_students_folder_is_refused(released: Course, tmp_path: Path):
    course = fresh(released, tmp_path, screen=('"screen/simulated', '"data/test-course/simulated'))
    course.public_folder.mkdir(parents=True)
    shutil.copyfile(course.root / "screen" / "simulated_default.h5ad", course.public_folder / "simulated_default.h5ad")
    with pytest.raises(InputError, match="screen lies in .*test-course, which release writes; move it elsewhere"):
        release(course)
    shutil.copytree(course.public_folder, course.hidden_folder)
    text = (course.root / "course.toml").read_text().replace('"data/test-course/', '"grading/test-course/')
    (course.root / "course.toml").write_text(text)
    with pytest.raises(InputError, match="screen lies in .*grading/test-course, which release writes"):
        release(read_course(course.root))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda pairs: pairs.pop(), "and the screen name other perturbations: missing 1 "),
        (lambda pairs: pairs[0].update(perturbation=CONTROL), "extra 1 .non-targeting."),
        (lambda pairs: [pair.update(part="train") for pair in pairs], "has no public pair"),
    ],
)
def test_a_split_that_does_not_fit_the_screen_is_refused(released: Course, tmp_path: Path, change: Callable, said: str):
    course = fresh(released, tmp_path, data=("hidden = 6\npublic = 4", 'split = "screen/split.json"'))
    screen = dataset.read_screen(course.root / "screen" / "simulated_default.h5ad")
    names = dataset.perturbations(screen)
    path = course.root / "screen" / "split.json"
    make_split(screen, names[:3], names[3:5]).write(path)
    content = json.loads(path.read_text())
    change(content["pairs"])
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=said):
        release(course)
    assert not course.public_folder.exists()


def test_what_somebody_put_beside_the_students_notebook_stays(course: Course):
    folder = course.root / "assignments" / "04_baselines"
    (folder / "predictions").mkdir()
    with pytest.raises(InputError, match="04_baselines is a folder that holds predictions, so it is not replaced"):
        release(course)
    assert (folder / "predictions").is_dir()
    assert (folder / "04_baselines.ipynb").is_file()


def test_formgrader_finds_the_course(course: Course):
    settings = course.root / "nbgrader_config.py"
    assert settings.read_text() == (ROOT / "nbgrader_config.py").read_text()
    settings.write_text("mine")
    release(course)
    assert settings.read_text() == "mine"


def test_students_get_what_the_contract_names_and_nothing_else(released: Course, tmp_path: Path):
    course = fresh(released, tmp_path)
    path = course.root / "screen" / "simulated_default.h5ad"
    screen = anndata.read_h5ad(path)
    screen.var["ensembl_id"] = [f"ENSG{i:011d}" for i in range(screen.n_vars)]
    screen.var["mean_effect"] = 1.0
    screen.varm["effects"] = np.ones((screen.n_vars, 24))
    screen.layers["logs"] = screen.X.copy()
    screen.obsm["pca"] = np.ones((screen.n_obs, 2))
    screen.raw = screen
    screen.uns["rank_genes_groups"] = {"hidden": np.ones(3)}
    screen.uns["course"]["effects"] = np.ones(3)
    screen.write_h5ad(path)
    release(course)
    train = anndata.read_h5ad(course.public_folder / "train.h5ad")
    assert list(train.var.columns) == ["ensembl_id"]
    assert [len(part) for part in (train.varm, train.layers, train.obsm)] == [0, 0, 0]
    assert train.raw is None
    assert list(train.uns) == ["course"]
    assert "effects" not in train.uns["course"]
    assert train.uns["course"]["title"] == screen.uns["course"]["title"]


def test_a_release_of_which_parts_are_lost_says_so(course: Course):
    (course.public_folder / "train.h5ad").unlink()
    with pytest.raises(InputError, match="test-course was released, but .*train.h5ad is missing; restore it"):
        release(course)
    (course.hidden_folder / "release.json").write_text("[")
    with pytest.raises(InputError, match="release.json is damaged .*; restore it from a backup"):
        release(course)
