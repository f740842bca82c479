"""A prediction file made the challenge's upload."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import scipy.sparse

from starter import progress
from starter.data.h5ad import CELLS_PER_BLOCK, layout_of, open_h5ad, read_frame, shape_of, unreadable
from starter.data.preprocess import log_to_target
from starter.data.scale import SCALE_TOLERANCE
from starter.data.scan import Scan
from starter.data.write import write_h5ad
from starter.errors import Finding, FindingsError, InputError
from starter.files import check_room, whole, workspace
from starter.prediction.check import OUT_OF_ORDER, check_content
from starter.prediction.content import EXTRAS, Content, Naming, content_of, with_controls
from starter.prediction.requirements import Requirements
from starter.prediction.season import META, SEASON_2025, Season, get_season
from starter.prediction.season_2025 import LOOKS_LIKE_COUNTS, is_counts
from starter.prediction.season_2026 import contexts_due
from starter.prediction.sidecar import make_meta
from starter.prediction.vcc import season_of, unpacked, write_archive
from starter.prediction.write import labels_of_cells
from starter.schema import CONTEXT

WATERMARK_TEXT = b"vcc-prep"
"""What stands beside the prediction of a 2025 upload."""
NORMALISE = (
    "give --normalise, which scales them to their median total and takes log1p as cell-eval prep does; or write logs"
)


def pack(
    path: str | Path,
    out: str | Path,
    required: Requirements | None = None,
    year: int = SEASON_2025.year,
    *,
    naming: Naming | None = None,
    controls: str | Path | None = None,
    normalise: bool = False,
) -> list[Finding]:
    """Make the challenge's upload of a prediction file.

    Only the labels, the gene names and the matrix (CSR float32) are kept, and the cells stay in their order; genes
    that are merely out of order are put in order.

    Parameters
    ----------
    path
        The prediction file, `.h5ad`.
    out
        The `.vcc` to write. What stood there stays until the new one is complete.
    required
        What it must hold.
    year
        The season of the challenge.
    naming
        What the file calls the perturbations and the control cells, if not as the kit does. In the upload they have
        the names that the challenge's scorer looks for.
    controls
        A file whose control cells are added behind the prediction's own; see
        `starter.prediction.content.with_controls`.
    normalise
        Scale counts to the median total of the upload's cells and take log1p, as `cell-eval prep` does.

    Returns
    -------
    The warnings and notes of the check, and what was repaired.

    Raises
    ------
    FindingsError
        If the check found an error that packing cannot repair.
    InputError
        If the options do not go together, or the disk cannot hold the upload.
    """
    season, naming = get_season(year), naming or Naming()
    _check_arguments(path, out, season, required, controls, normalise=normalise)
    with workspace(out) as folder:
        plain, archive = folder / "pred.h5ad", folder / "pred.vcc"
        with unpacked(path) as file, ExitStack() as stack:
            opened = stack.enter_context(open_h5ad(file))
            try:
                content = content_of(opened, naming, controls=season == SEASON_2025 and controls is None)
                done: list[Finding] = []
                if controls is not None:
                    content, done = stack.enter_context(with_controls(content, controls, naming, required))
                findings, scan = check_content(content, required, season)
            except Exception as error:  # whatever is in somebody's file
                raise error if isinstance(error, InputError) else unreadable(str(path), error) from error
            reordered = any(finding.what == OUT_OF_ORDER for finding in findings)
            findings = [finding for finding in findings if finding.what != OUT_OF_ORDER]
            counts = season == SEASON_2025 and scan is not None and is_counts(scan)
            if counts and not normalise:
                findings.append(Finding("error", "X holds counts", NORMALISE))
            if scan is None or any(finding.level == "error" for finding in findings):
                raise FindingsError(str(path), findings)
            changed = counts or reordered or done or naming != Naming()
            as_it_is = not changed and _is_plain(opened, content, scan, season)
            # what compression leaves of values and columns that may be int64; both once more, if they are written
            check_room(folder, (8 if as_it_is else 12 + 8) * scan.n_stored + 128 * sum(content.cells.shape))
            if counts:
                findings = [finding for finding in findings if not finding.what.startswith(LOOKS_LIKE_COUNTS)]
                content, median = _normalised(content, scan)
                done.append(Finding("note", f"counts were scaled to their median total, {median:,.10g}, then log1p"))
                due = required.target_sum if required is not None else None
                if due and abs(median / due - 1) > SCALE_TOLERANCE:
                    what = f"the truth's target_sum is {due:,.10g}, so that the upload is on another scale"
                    done.append(Finding("warning", what, "write log1p(target_sum x count / n_umis) instead"))
            elif normalise:
                done.append(Finding("note", "X is log1p expression already, so nothing was normalised"))
            genes = content.genes
            if reordered and required is not None:
                genes = pd.Index(required.genes)
                done.append(Finding("note", "the genes were put in the order of the list"))
            if not as_it_is:
                labels = {column: content.obs[column].astype(str) for column in season.columns}
                uns = {"log1p": {"base": None}} if counts else None  # as scanpy notes it
                var = pd.DataFrame(index=genes)
                write_h5ad(plain, _blocks(content, genes), labels_of_cells(labels), var, uns, stored=scan.n_stored)
            seal(file if as_it_is else plain, archive, season, required)
        with whole(out) as part:
            archive.rename(part)
    return [*findings, *done]


def seal(plain: Path, archive: Path, season: Season, required: Requirements | None) -> None:
    """Put a prediction file that is as an upload wants it into the archive.

    Parameters
    ----------
    plain
        The prediction file.
    archive
        The `.vcc` to write.
    season, required
        Whose upload it is, and what it was checked against, if known.
    """
    sidecar = WATERMARK_TEXT
    if season.sidecar == META:
        with open_h5ad(plain) as written:
            present = set(read_frame(written, "obs")[CONTEXT].astype(str))
            n_cells, n_genes = shape_of(written["X"])
            contexts = contexts_due(present, required)
            sidecar = make_meta(n_cells, n_genes, written["X/data"].size, contexts, required)
    write_archive(plain, archive, season, sidecar)


def _is_plain(file: h5py.File | h5py.Group, content: Content, scan: Scan, season: Season) -> bool:
    """Tell whether a file is already what would be written of it, as the kit's own are."""
    x, obs = file["X"], content.obs
    if not isinstance(file, h5py.File) or layout_of(x) != "csr_matrix":
        return False
    index = np.int32 if scan.n_stored <= np.iinfo(np.int32).max else np.int64
    return (
        list(obs.columns) == list(season.columns)
        and all(isinstance(labels.dtype, pd.CategoricalDtype) for _, labels in obs.items())
        and all(len(labels.cat.categories) == labels.nunique() for _, labels in obs.items())
        and obs.index.equals(pd.RangeIndex(len(obs)).astype(str))
        and not content.left_out
        and set(file) <= {"X", "obs", "var", "uns", *EXTRAS}
        and not len(file.get("uns", ()))
        and [x[key].dtype for key in ("data", "indices", "indptr")] == [np.float32, index, index]
        and not any(x[key].compression for key in ("data", "indices", "indptr"))
        and scan.canonical
        and not scan.n_zeros
    )


def _check_arguments(
    path: str | Path,
    out: str | Path,
    season: Season,
    required: Requirements | None,
    controls: str | Path | None,
    *,
    normalise: bool,
) -> None:
    """Refuse what cannot be meant, before anything is read."""
    taken = [Path(path), *([Path(controls)] if controls is not None else [])]
    if Path(out).suffix != ".vcc" or Path(out).resolve() in [file.resolve() for file in taken]:
        msg = f"an upload is named like prediction.vcc, not {out}; name it so with --out"
        raise InputError(msg)
    if season_of(path) is not None:
        msg = f"{path} is packed already; give the .h5ad"
        raise InputError(msg)
    if season != SEASON_2025 and (controls is not None or normalise):
        option, reason = ("--normalise", "raw counts") if normalise else ("--controls", "no control cells")
        msg = f"an upload of season {season.year} holds {reason}; leave out {option}"
        raise InputError(msg)
    if normalise and required is not None and required.of_course:
        msg = (
            "--normalise scales counts to the file's own median total, and a course has its own target_sum; leave it "
            "out, and write log1p(target_sum x count / n_umis)"
        )
        raise InputError(msg)


def _normalised(content: Content, scan: Scan) -> tuple[Content, float]:
    """Scale counts to the median total of all cells, empty ones too, and take log1p; give the median as well."""
    median = float(np.median(scan.totals.astype(np.float32)))  # as scanpy does, in its precision
    if median == 0:
        msg = "half of the cells hold no count, so there is no median total to scale to; write the predicted cells"
        raise InputError(msg)
    return replace(content, cells=content.cells.mapped(lambda block, _: log_to_target(block, median))), median


def _blocks(content: Content, genes: pd.Index) -> Iterator[scipy.sparse.csr_matrix]:
    """Give the cells in blocks, their genes in another order."""
    n_cells = content.cells.shape[0]
    in_order = genes.equals(content.genes)
    order = content.genes.get_indexer(genes) if not in_order else None
    with progress.bar("pack", -(-n_cells // CELLS_PER_BLOCK)) as advance:
        for block in content.cells.read(np.ones(n_cells, bool)):
            yield block if order is None else block[:, order]
            advance()
