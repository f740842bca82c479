"""Cut a course's screen: what students get, and what stays hidden."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np

from autograder.course import FILE, Course
from autograder.folders import RECORD, SOLUTIONS, TRUTH
from autograder.release.soundness import check_cells, check_split, check_truth
from autograder.settings import SIMULATED
from starter.data.course import PRIORS_FOLDER, SPLIT_FILE, TRAIN_FILE
from starter.data.dataset import contexts, perturbations, read_screen, write_screen
from starter.data.preprocess import library_sizes, target_sum
from starter.data.split import PARTS, Split, make_split, read_split
from starter.data.targets import measured_targets
from starter.errors import FindingsError, InputError, counted, difference
from starter.files import sha256, whole
from starter.schema import (
    COURSE,
    COURSE_KEYS,
    ENSEMBL_ID,
    N_UMIS,
    PERCENT_MITO,
    PERTURBATION,
    PERTURBATION_KIND,
)
from starter.scoring.truth.build import build_truth
from starter.simulation import biology
from starter.simulation.setup import SIZES
from starter.simulation.write import write


def release_data(course: Course, report: Callable[[str], None], *, allow: bool = False) -> None:
    """Cut the screen; prepare the truth of its hidden part; say what of it is unsound.

    Parameters
    ----------
    report
        Called with a sentence for each step that is done, and for each thing to mind.
    allow
        Whether labels of one gene may stand in several parts.

    Raises
    ------
    InputError
        If the screen cannot be used, its split leaks, or other data were released before.
    """
    made_of = _made_of(course)
    record = course.hidden_folder / RECORD
    if record.is_file():
        try:
            earlier = dict(json.loads(record.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            msg = f"{record} is damaged ({error}); restore it from a backup, since students have data made by it"
            raise InputError(msg) from error
        if earlier != made_of:
            changed = ", ".join(key for key in earlier | made_of if earlier.get(key) != made_of.get(key))
            msg = (
                f"{course.name} was released with other settings ({changed}); students have that data, so either "
                f"restore the settings, or move {course.public_folder} and {course.hidden_folder} away to start anew"
            )
            raise InputError(msg)
        made = [course.public_folder / name for name in (TRAIN_FILE, SPLIT_FILE)]
        made += [course.hidden_folder / "hidden.h5ad", course.hidden_folder / TRUTH / "truth.json"]
        if missing := [path for path in made if not path.is_file()]:
            msg = (
                f"{course.name} was released, but {missing[0]} is missing; restore it from a backup, "
                f"or delete {record} to make all data anew"
            )
            raise InputError(msg)
        report(f"kept the data in {course.public_folder.relative_to(course.root)}, which were released before")
        return
    course.hidden_folder.mkdir(parents=True, exist_ok=True)
    screen, priors = _screen(course, report)
    adata = read_screen(screen)
    if len(found := contexts(adata)) > 1:
        msg = f"{screen} has the contexts {', '.join(found)}; a course is graded in one, so give a screen with one"
        raise InputError(msg)
    _complete(adata, report)
    if COURSE not in adata.uns:
        report(f"the screen has no uns[{COURSE!r}]: its description is taken from {FILE}")
        adata.uns[COURSE] = _description(course, adata)
    split = _split(course, adata)
    findings = check_split(split, adata)
    if findings and not allow:
        raise FindingsError(str(screen), findings)
    names = [] if priors is None else [path.name for path in priors.iterdir()]
    findings += check_cells(adata, course, names)
    _write_part(adata, split.select(adata.obs, "hidden"), course.hidden_folder / "hidden.h5ad")
    split.write(course.public_folder / SPLIT_FILE)
    if priors is not None:
        shutil.copytree(priors, course.public_folder / PRIORS_FOLDER, dirs_exist_ok=True)
    _write_part(adata, split.select(adata.obs, "train", "public"), course.public_folder / TRAIN_FILE)
    counts = {part: len(split.pairs(part)) for part in PARTS}
    report(
        f"cut {adata.n_obs:,} cells x {adata.n_vars:,} genes: {counts['train']} training, {counts['public']} public "
        f"and {counts['hidden']} hidden perturbations; {measured_targets(perturbations(adata), adata.var_names)}"
    )
    truth = build_truth(
        course.hidden_folder / "hidden.h5ad",
        course.hidden_folder / TRUTH,
        split=course.public_folder / SPLIT_FILE,
        part="hidden",
        train=course.public_folder / TRAIN_FILE,
    )
    report("prepared the hidden truth")
    for finding in [*findings, *check_truth(truth)]:
        report(f"{'note' if finding.level == 'note' else 'warning'}: {finding}")
    with whole(record) as part:
        part.write_text(json.dumps(made_of, indent=1) + "\n", encoding="utf-8")


def _made_of(course: Course) -> dict:
    settings = course.data.model_dump()
    for key, usual in (("doubles", 0), ("size", "course")):
        if settings[key] == usual:
            del settings[key]  # courses were released before there was the key
    if course.data.screen == SIMULATED:
        return settings | {"seed": hashlib.sha256(str(_seed(course, "screen")).encode()).hexdigest()}
    path = _named(course, "screen")
    used = {"sha256 of the screen": sha256(path)}
    if course.data.split is not None:
        used["sha256 of the split"] = sha256(_named(course, "split"))
    if course.data.priors is not None:
        priors = _named(course, "priors").resolve()
        for hidden in (course.grading.resolve(), (course.root / SOLUTIONS).resolve(), path.resolve()):
            if priors.is_relative_to(hidden) or hidden.is_relative_to(priors):
                msg = f"{course.root / FILE}: [data] priors go to the students, and {priors} is or holds {hidden}"
                raise InputError(msg)
    return settings | used


def _seed(course: Course, name: str) -> int:
    """Give the seed that `course.toml` names, or one that follows from the secret."""
    return course.data.seed if course.data.seed is not None else course.derived_seed(name)


def _named(course: Course, key: str) -> Path:
    """Give the path of a key of `[data]`."""
    value = getattr(course.data, key)
    kind, is_there = ("folder", Path.is_dir) if key == "priors" else ("file", Path.is_file)
    if not is_there(course.root / value):
        msg = f"{course.root / FILE}: [data] {key} = {value!r}: there is no such {kind}"
        raise InputError(msg)
    for folder in (course.public_folder, course.hidden_folder):
        if (course.root / value).resolve().is_relative_to(folder.resolve()):
            msg = f"{course.root / FILE}: [data] {key} lies in {folder}, which release writes; move it elsewhere"
            raise InputError(msg)
    return course.root / value


def _screen(course: Course, report: Callable[[str], None]) -> tuple[Path, Path | None]:
    """Give the screen's path and the folder of its priors, making a simulated one."""
    if course.data.screen != SIMULATED:
        return (
            course.root / course.data.screen,
            course.root / course.data.priors if course.data.priors else None,
        )
    folder = course.hidden_folder / "screen"
    size = replace(SIZES[course.data.size], doubles=course.data.doubles)
    path = write(biology.draw(course.data.preset, _seed(course, "screen"), size), folder)
    report(f"simulated a screen ({course.data.preset} preset)")
    return path, folder / "priors"


def _complete(adata: anndata.AnnData, report: Callable[[str], None]) -> None:
    """Fill in what notebooks use of a cell and follows from its counts."""
    if N_UMIS not in adata.obs:
        adata.obs[N_UMIS] = np.maximum(library_sizes(adata), 1)  # of an empty cell, too, a total is positive
        report(
            f"the screen has no obs[{N_UMIS!r}]: the sum over its {adata.n_vars:,} genes stands in for a cell's total"
        )
    if PERCENT_MITO not in adata.obs:
        of_mitochondria = adata.var_names.str.upper().str.startswith("MT-")
        umis = np.asarray(adata.X[:, of_mitochondria].sum(axis=1)).ravel()
        adata.obs[PERCENT_MITO] = 100 * umis / adata.obs[N_UMIS].to_numpy()
        report(
            f"the screen has no obs[{PERCENT_MITO!r}]: it is taken from "
            f"{counted(int(of_mitochondria.sum()), 'gene')} named MT-..."
        )


def _split(course: Course, adata: anndata.AnnData) -> Split:
    if course.data.split is not None:
        path = course.root / course.data.split
        split = read_split(path)
        if empty := [part for part in PARTS if not len(split.pairs(part))]:
            msg = f"{path} has no {empty[0]} pair"
            raise InputError(msg)
        given, found = set(split.table.index.get_level_values(PERTURBATION)), set(perturbations(adata))
        if given != found:
            msg = f"{path} and the screen name other perturbations: {difference(found, given)}; each is in one part"
            raise InputError(msg)
        hidden, public = (list(split.pairs(part).get_level_values(PERTURBATION)) for part in ("hidden", "public"))
        return make_split(adata, hidden, public)  # with the screen's own numbers of cells
    hidden, public = course.data.hidden, course.data.public
    names = perturbations(adata)
    wanted = sum(part if isinstance(part, int) else len(part) for part in (hidden, public))
    if wanted >= len(names):
        msg = (
            f"{course.root / FILE}: [data] hides and publishes {wanted} perturbations, and the screen has {len(names)};"
            " set hidden and public to smaller numbers"
        )
        raise InputError(msg)
    named = {name for part in (hidden, public) if isinstance(part, list) for name in part}
    rng = np.random.default_rng(_seed(course, "split"))
    free = list(rng.permutation([name for name in names if name not in named]))
    parts = [part if isinstance(part, list) else [str(free.pop()) for _ in range(part)] for part in (hidden, public)]
    return make_split(adata, *parts)


def _description(course: Course, adata: anndata.AnnData) -> dict[str, object]:
    """Describe a screen that does not describe itself."""
    texts = dict.fromkeys(("organism", "licence", "source", "citation"), "not stated")
    title = course.settings.course.title or course.name
    return {"name": course.name, "title": title, **texts, "simulated": False, "target_sum": target_sum(adata)}


def _write_part(adata: anndata.AnnData, cells: np.ndarray, path: Path) -> None:
    """Write some cells with what the contract names, since anything else may tell of the other cells."""
    obs = adata.obs[cells].copy()
    for column in obs.select_dtypes("category"):
        obs[column] = obs[column].cat.remove_unused_categories()
    var = adata.var[[ENSEMBL_ID] if ENSEMBL_ID in adata.var else []]
    about = {key: adata.uns[COURSE][key] for key in (*COURSE_KEYS, PERTURBATION_KIND) if key in adata.uns[COURSE]}
    write_screen(path, [adata.X[cells]], obs, var, about)
