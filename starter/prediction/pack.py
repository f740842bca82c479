"""Prediction files: write, read, and pack for upload."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import pandas as pd
import scipy.sparse

from starter import progress
from starter.data.h5ad import CELLS_PER_BLOCK, open_h5ad, read_blocks, read_frame, write_h5ad
from starter.errors import Finding, FindingsError, InputError
from starter.files import check_room, whole
from starter.prediction.check import OUT_OF_ORDER, check_prediction
from starter.prediction.requirements import Requirements
from starter.prediction.season import META, SEASON_2025, get_season
from starter.prediction.season_2026 import contexts_due
from starter.prediction.sidecar import make_meta
from starter.prediction.vcc import write_archive
from starter.prediction.write import labels_of_cells
from starter.schema import CONTEXT

WATERMARK_TEXT = b"vcc-prep"
"""What stands beside the prediction of a 2025 upload."""


def pack(
    path: str | Path, out: str | Path, required: Requirements | None = None, year: int = SEASON_2025.year
) -> list[Finding]:
    """Make the challenge's upload of a prediction file.

    Only the labels, the gene names and the matrix (CSR float32) are kept, and the cells stay in their order; genes
    that are merely out of order are put in order.

    Parameters
    ----------
    path
        The prediction file, `.h5ad`.
    out
        The `.vcc` to write.
    required
        What it must hold.
    year
        The season of the challenge.

    Returns
    -------
    The warnings and notes of the check, and what was repaired.

    Raises
    ------
    FindingsError
        If the check found an error that packing cannot repair.
    """
    season = get_season(year)
    if Path(out).suffix != ".vcc" or Path(out).resolve() == Path(path).resolve():
        msg = f"an upload is named like prediction.vcc, not {out}; name it so with --out"
        raise InputError(msg)
    findings = check_prediction(path, required, year)
    repaired = [finding for finding in findings if finding.what == OUT_OF_ORDER]
    findings = [finding for finding in findings if finding not in repaired]
    if any(finding.level == "error" for finding in findings):
        raise FindingsError(str(path), findings)
    if Path(path).suffix == ".vcc":
        msg = f"{path} is packed already; give the .h5ad"
        raise InputError(msg)
    with whole(out) as part, tempfile.TemporaryDirectory(dir=part.parent) as folder, open_h5ad(path) as file:
        plain = Path(folder) / "pred.h5ad"
        obs, var = read_frame(file, "obs"), read_frame(file, "var")
        x = file["X"]
        stored = x["data"].size if isinstance(x, h5py.Group) else min(x.size, season.max_stored)
        # values, columns that may be int64, and what compression leaves of both
        check_room(part.parent, (12 + 8) * stored + 128 * (len(obs) + len(var)))
        genes = pd.Index(required.genes if required is not None and repaired else var.index.astype(str))
        order = var.index.astype(str).get_indexer(genes)
        n_blocks = -(-len(obs) // CELLS_PER_BLOCK)
        labels = {column: obs[column].astype(str) for column in season.columns}
        with progress.bar("pack", n_blocks) as advance:

            def blocks() -> Iterator[scipy.sparse.csr_matrix]:
                for block in read_blocks(x):
                    yield block[:, order] if repaired else block
                    advance()

            write_h5ad(plain, blocks(), labels_of_cells(labels), pd.DataFrame(index=genes), stored=stored)
        sidecar = WATERMARK_TEXT
        if season.sidecar == META:
            with open_h5ad(plain) as written:
                stored = written["X/data"].size
            sidecar = make_meta(len(obs), len(var), stored, contexts_due(set(labels[CONTEXT]), required), required)
        write_archive(plain, part, season, sidecar)
    if repaired:
        findings.append(Finding("note", "the genes were put in the order of the list"))
    return findings
