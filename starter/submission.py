"""The prediction file (`.h5ad`) and the challenge's upload (`.vcc`): write, read, check.

A `.vcc` of season 2025 is a plain tar of `pred.h5ad.zst` (zstandard) and `watermark.txt`.
"""

import io
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse
import zstandard

from starter import progress
from starter.blocks import CELLS_PER_BLOCK, HDF5_MAGIC, check_room, open_h5ad, read_blocks, read_frame, write_h5ad
from starter.dataset import open_course, read_cells
from starter.files import whole
from starter.preprocess import FRACTION, LOG_LIMIT, expression, target_sum
from starter.schema import CONTROL, TARGET_GENE, Finding, FindingsError, InputError, some

PREDICTION, WATERMARK = "pred.h5ad.zst", "watermark.txt"
WATERMARK_TEXT = b"vcc-prep"
MAX_CELLS = 100_000
"""The challenge's limit for one upload, controls included."""
MAX_GENES = 20_000
"""Size limits of a file whose genes are not known beforehand."""
BYTES_PER_VALUE = 12
"""A stored value at most: float64 and its int32 column."""
OTHER_BYTES = 64 << 20
"""Room for cell and gene names."""
FEW_CELLS = 10
"""Fewer cells of a perturbation leave the rank test without power."""
TOTAL_TOLERANCE = 1.1
"""The file's controls may be a sample: their mean total expression may differ by this factor."""

FOREIGN = {b"\x1f\x8b": "gzip", b"PK": "zip", b"\x28\xb5\x2f\xfd": "zstandard", b"<": "HTML or XML", HDF5_MAGIC: "HDF5"}
"""What else a file may be, by how it begins."""


@dataclass(frozen=True)
class Due:
    """What a prediction must hold."""

    genes: tuple[str, ...]
    n_cells: Mapping[str, int | None]
    """Perturbations to predict, with the measured number of cells where known."""
    control_total: float | None = None
    """Mean total expression of the course's control cells on the natural scale, if known."""
    target_sum: float | None = None
    """UMIs to which the course scales cells, if known."""


def due_in_course(folder: str | Path | None = None) -> Due:
    """Say what the hidden part of a course asks for.

    Parameters
    ----------
    folder
        The course's data folder, as `starter.dataset.open_course` takes it.
    """
    course = open_course(folder)
    train = course.train()
    control = train[train.obs[TARGET_GENE] == CONTROL].copy()
    target = target_sum(train)
    total = float(np.expm1(expression(control).data, dtype=np.float64).sum() / control.n_obs)
    return Due(tuple(train.var_names), course.split().n_cells("hidden"), total, target)


def due_in_lists(genes: str | Path, perturbations: str | Path) -> Due:
    """Say what the challenge's two lists ask for.

    Parameters
    ----------
    genes
        `gene_names.csv`: one symbol a line, no header.
    perturbations
        `pert_counts.csv` with the columns target_gene and, optionally, n_cells; or one symbol a line.

    Raises
    ------
    InputError
        If a list cannot be read, is empty, or holds a name twice.
    """
    names = _lines(genes)
    rows = [line.split(",") for line in _lines(perturbations)]
    n_cells: dict[str, int | None] = {}
    header = rows[0] if rows[0][0].strip('"') == TARGET_GENE else None
    column = header.index("n_cells") if header and "n_cells" in header else None
    for row in rows[1:] if header else rows:
        label = row[0].strip('"')
        if label in n_cells:
            msg = f"{perturbations} lists {label} twice"
            raise InputError(msg)
        try:
            n_cells[label] = int(row[column]) if column is not None else None
        except (ValueError, IndexError) as error:
            msg = f"{perturbations}: n_cells of {label} is not a number in {','.join(row)!r}"
            raise InputError(msg) from error
    n_cells.pop(CONTROL, None)
    if len(set(names)) < len(names) or not n_cells:
        msg = f"{genes} holds a gene twice" if n_cells else f"{perturbations} names no perturbation"
        raise InputError(msg)
    return Due(tuple(name.strip('"') for name in names), n_cells)


def write_prediction(
    path: str | Path, cells: Iterable[tuple[str, scipy.sparse.csr_matrix]], genes: Iterable[str]
) -> None:
    """Write a prediction file, a perturbation at a time.

    Parameters
    ----------
    path
        The `.h5ad` to write.
    cells
        Label and cells (cells x genes, log1p expression), the control cells among them; see
        `starter.cells.make_cells`.
    genes
        The course's genes, in order.
    """
    labels: list[str] = []

    def blocks() -> Iterator[scipy.sparse.csr_matrix]:
        for label, block in cells:
            labels.extend([label] * block.shape[0])
            yield block

    write_h5ad(path, blocks(), lambda: _obs(labels), pd.DataFrame(index=pd.Index(genes)))


def read_prediction(path: str | Path) -> anndata.AnnData:
    """Read a prediction, `.h5ad` or `.vcc`.

    Returns
    -------
    Cells x genes with `obs.target_gene`, as stored.

    Raises
    ------
    InputError
        If the file cannot be read.
    FindingsError
        If the archive is not a sound `.vcc`.
    """
    with _unpacked(path, None) as (file, findings):
        if file is None:
            raise FindingsError(str(path), findings)
        return read_cells(file)


def check_prediction(path: str | Path, due: Due | None = None) -> list[Finding]:
    """Check a prediction file or upload, and report everything at once.

    Parameters
    ----------
    path
        `.h5ad` or `.vcc`.
    due
        What it must hold; without it, only what holds of any prediction is checked.

    Returns
    -------
    Errors (scoring refuses or misjudges the file), warnings and notes.

    Raises
    ------
    InputError
        If there is no such file.
    """
    with _unpacked(path, due) as (file, findings):
        if file is None:
            return findings
        try:
            with open_h5ad(file) as opened:
                return [*findings, *_check_content(opened, due)]
        except InputError as error:
            return [*findings, Finding("error", str(error).replace(str(file), str(path)))]


def pack(path: str | Path, out: str | Path, due: Due | None = None) -> list[Finding]:
    """Make the challenge's upload of a prediction file.

    Only `target_gene`, the gene names and the matrix (CSR float32) are kept; genes that are merely out of order are
    put in order.

    Parameters
    ----------
    path
        The prediction file, `.h5ad`.
    out
        The `.vcc` to write.
    due
        What it must hold.

    Returns
    -------
    The warnings and notes of the check, and what was repaired.

    Raises
    ------
    FindingsError
        If the check found an error that packing cannot repair.
    """
    findings = check_prediction(path, due)
    repaired = [finding for finding in findings if finding.what == OUT_OF_ORDER]
    findings = [finding for finding in findings if finding not in repaired]
    if any(finding.level == "error" for finding in findings):
        raise FindingsError(str(path), findings)
    if Path(path).suffix == ".vcc":
        msg = f"{path} is packed already; give the .h5ad"
        raise InputError(msg)
    check_room(Path(out).parent, 2 * Path(path).stat().st_size)
    with whole(out) as part, tempfile.TemporaryDirectory(dir=part.parent) as folder, open_h5ad(path) as file:
        plain = Path(folder) / "pred.h5ad"
        obs, var = read_frame(file, "obs"), read_frame(file, "var")
        genes = pd.Index(due.genes if repaired else var.index.astype(str))
        order = var.index.astype(str).get_indexer(genes)
        n_blocks = -(-len(obs) // CELLS_PER_BLOCK)
        with progress.bar("pack", n_blocks) as advance:

            def blocks() -> Iterator[scipy.sparse.csr_matrix]:
                for block in read_blocks(file["X"]):
                    yield block[:, order] if repaired else block
                    advance()

            write_h5ad(plain, blocks(), _obs(obs[TARGET_GENE].astype(str)), pd.DataFrame(index=genes))
        packed = Path(folder) / PREDICTION
        with plain.open("rb") as source, packed.open("wb") as sink:
            zstandard.ZstdCompressor(level=3, threads=-1).copy_stream(source, sink, size=plain.stat().st_size)
        with tarfile.open(part, "w") as archive:
            archive.add(packed, PREDICTION, filter=_anonymous)
            watermark = _anonymous(tarfile.TarInfo(WATERMARK))
            watermark.size = len(WATERMARK_TEXT)
            archive.addfile(watermark, io.BytesIO(WATERMARK_TEXT))
    if repaired:
        findings.append(Finding("note", "the genes were put in the order of the list"))
    return findings


OUT_OF_ORDER = "the genes are those due, but in another order"


def _lines(path: str | Path) -> list[str]:
    try:
        lines = [line.strip() for line in Path(path).read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read the list {path}: {error}"
        raise InputError(msg) from error
    if not lines:
        msg = f"the list {path} is empty"
        raise InputError(msg)
    return lines


def _obs(labels: Iterable[str]) -> pd.DataFrame:
    labels = pd.Categorical(list(labels))
    return pd.DataFrame({TARGET_GENE: labels}, index=pd.RangeIndex(len(labels)).astype(str))


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who packed it and when: the same prediction gives the same file."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member


def _limit(due: Due | None) -> int:
    n_genes = len(due.genes) if due else MAX_GENES
    return MAX_CELLS * n_genes * BYTES_PER_VALUE + OTHER_BYTES


@contextmanager
def _unpacked(path: str | Path, due: Due | None) -> Iterator[tuple[Path | None, list[Finding]]]:
    """Give the `.h5ad` of a prediction, and what is wrong with the archive around it (then no file)."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}"
        raise InputError(msg) from error
    if start.startswith(HDF5_MAGIC):
        yield path, []
    elif start[257:262] == b"ustar":
        with tempfile.TemporaryDirectory(prefix="vcc-") as folder:
            target = Path(folder) / "pred.h5ad"
            findings = _extract(path, target, _limit(due))
            yield (None if any(finding.level == "error" for finding in findings) else target), findings
    else:
        kind = next((name for magic, name in FOREIGN.items() if start.startswith(magic)), "unknown")
        what = f"it is neither an .h5ad (HDF5) nor a .vcc (tar); its content is {kind if start else 'empty'}"
        yield None, [Finding("error", what, "write it with starter.submission, or pack it with: starter pack")]


def _extract(path: Path, target: Path, limit: int) -> list[Finding]:
    findings = []
    again = "pack it again with: starter pack"
    try:
        with tarfile.open(path, "r:") as archive:
            members = archive.getmembers()
            expected = {PREDICTION, WATERMARK}
            odd = [member.name for member in members if member.name not in expected or not member.isreg()]
            if odd:
                what = f"the archive holds {some([repr(name) for name in odd])}, and should hold only {PREDICTION} and {WATERMARK}"
                findings.append(Finding("error", what, again))
            missing = expected - {member.name for member in members if member.isreg()}
            if missing:
                findings.append(Finding("error", f"the archive has no {' and no '.join(sorted(missing))}", again))
            if len(members) > len({member.name for member in members}):
                findings.append(Finding("error", "the archive holds a file twice", again))
            if findings:
                return findings
            source = archive.extractfile(PREDICTION)
            check_room(target.parent, min(limit, 4 * path.stat().st_size))
            written = 0
            with target.open("wb") as sink, zstandard.ZstdDecompressor().stream_reader(source) as reader:
                while chunk := reader.read(1 << 20):
                    written += len(chunk)
                    if written > limit:
                        what = f"{PREDICTION} grows beyond {limit / 1e9:.1f} GB when unpacked, more than a prediction needs"
                        return [Finding("error", what, again)]
                    sink.write(chunk)
    except (tarfile.TarError, EOFError) as error:
        return [Finding("error", f"the archive is truncated or damaged ({error})", "copy or pack it again")]
    except zstandard.ZstdError as error:
        return [Finding("error", f"{PREDICTION} is truncated or damaged ({error})", "copy or pack it again")]
    return findings


def _check_content(file: h5py.File, due: Due | None) -> list[Finding]:
    obs, var = read_frame(file, "obs"), read_frame(file, "var")
    findings = [*_check_genes(var.index.astype(str), due), *_check_labels(obs, due)]
    extra = [f"obs.{column}" for column in obs.columns if column != TARGET_GENE]
    extra += [f"var.{column}" for column in var.columns]
    extra += [key for key in ("layers", "obsm", "varm", "obsp", "varp", "raw") if key in file and len(file[key])]
    if extra:
        findings.append(Finding("note", f"{some(extra)} will not be scored", "starter pack leaves them out"))
    if len(obs) > MAX_CELLS:
        what = f"it has {len(obs):,} cells; the limit is {MAX_CELLS:,}"
        return [*findings, Finding("error", what, "write fewer cells a perturbation, or fewer control cells")]
    values = file["X"].get("data") if isinstance(file["X"], h5py.Group) else file["X"]
    stored = values.size if isinstance(values, h5py.Dataset) else 0
    if stored > len(obs) * max(len(var), 1):
        what = f"X stores {stored:,} values for {len(obs):,} cells x {len(var):,} genes"
        return [*findings, Finding("error", what, "write it again; a cell has at most one value a gene")]
    control = (obs[TARGET_GENE].astype(str) == CONTROL).to_numpy() if TARGET_GENE in obs else None
    return [*findings, *_check_values(_scan(file["X"], len(obs), control), due)]


def _check_genes(genes: pd.Index, due: Due | None) -> list[Finding]:
    findings = []
    if not genes.is_unique:
        twice = genes[genes.duplicated()].unique()
        findings.append(Finding("error", f"genes occur twice: {some(twice)}", "each gene is one column"))
    if due is None:
        return findings
    expected = pd.Index(due.genes)
    missing, extra = expected.difference(genes, sort=False), genes.difference(expected, sort=False)
    if len(missing):
        findings.append(Finding("error", f"{len(missing):,} genes are missing: {some(missing)}", "predict every gene"))
    if len(extra):
        what = f"{len(extra):,} genes are not among those due: {some(extra)}"
        findings.append(Finding("error", what, "leave them out, or check whether symbols and ids are mixed"))
    if not len(missing) and not len(extra) and genes.is_unique and list(genes) != list(expected):
        findings.append(Finding("error", OUT_OF_ORDER, "starter pack reorders them; or index with the course's genes"))
    return findings


def _check_labels(obs: pd.DataFrame, due: Due | None) -> list[Finding]:
    if TARGET_GENE not in obs:
        what = f"obs has no column {TARGET_GENE!r}; its columns are {some(obs.columns) or 'none'}"
        return [Finding("error", what, f"name the column of perturbations {TARGET_GENE!r}")]
    findings = []
    if missing := int(obs[TARGET_GENE].isna().sum()):
        findings.append(Finding("error", f"{missing:,} cells have no {TARGET_GENE}", "label every cell"))
    counts = obs[TARGET_GENE].dropna().astype(str).value_counts()
    if CONTROL not in counts:
        findings.append(Finding("error", f"no cell is labelled {CONTROL!r}", "add the course's control cells as they are"))
    predicted = counts.drop(CONTROL, errors="ignore").sort_index()
    if due is not None:
        expected = pd.Index(sorted(due.n_cells))
        if len(absent := expected.difference(predicted.index)):
            what = f"{len(absent):,} perturbations are missing: {some(absent)}"
            findings.append(Finding("error", what, "predict all of them"))
        if len(extra := predicted.index.difference(expected)):
            what = f"{len(extra):,} perturbations are not among those due: {some(extra)}"
            findings.append(Finding("error", what, "leave them out"))
        other = [
            f"{label} has {n:,} (measured: {due.n_cells[label]:,})"
            for label, n in predicted.items()
            if due.n_cells.get(label) and n != due.n_cells[label]
        ]
        if other:
            what = f"{len(other):,} perturbations have another number of cells than measured: {some(other)}"
            findings.append(Finding("note", what, "the number of DE genes follows the number of cells"))
    few = predicted[predicted < FEW_CELLS]
    if len(few):
        named = [f"{label} ({n})" for label, n in few.items()]
        what = f"{len(few):,} perturbations have fewer than {FEW_CELLS} cells: {some(named)}"
        findings.append(Finding("warning", what, "write more cells, or no gene can be called differentially expressed"))
    return findings


@dataclass
class _Scan:
    """What one pass over the matrix tells."""

    stored: int = 0
    nan: int = 0
    infinite: int = 0
    negative: int = 0
    largest: float = 0.0
    lowest: float = 0.0
    fraction: float = 0.0
    """Largest fractional part."""
    zeros: int = 0
    totals: list[np.ndarray] = field(default_factory=list)
    """Total expression of the control cells on the natural scale."""


def _scan(x: h5py.Group | h5py.Dataset, n_cells: int, control: np.ndarray | None) -> _Scan:
    scan = _Scan()
    start = 0
    with progress.bar("check", -(-n_cells // CELLS_PER_BLOCK)) as advance:
        for block in read_blocks(x):
            data = block.data.astype(np.float64, copy=False)
            finite = data[np.isfinite(data)]
            scan.stored += data.size
            scan.nan += int(np.isnan(data).sum())
            scan.infinite += int(np.isinf(data).sum())
            scan.negative += int((finite < 0).sum())
            scan.zeros += int((finite == 0).sum())
            if finite.size:
                scan.largest = max(scan.largest, float(finite.max()))
                scan.lowest = min(scan.lowest, float(finite.min()))
                scan.fraction = max(scan.fraction, float(np.modf(finite)[0].max()))
            if control is not None and scan.largest < LOG_LIMIT and not scan.nan:
                rows = block[control[start : start + block.shape[0]]].astype(np.float64)
                rows.data = np.expm1(rows.data)
                scan.totals.append(np.asarray(rows.sum(axis=1)).ravel())
            start += block.shape[0]
            advance()
    return scan


def _check_values(scan: _Scan, due: Due | None) -> list[Finding]:
    findings = []
    if scan.nan or scan.infinite:
        what = f"X holds {scan.nan:,} NaN and {scan.infinite:,} infinite values"
        findings.append(Finding("error", what, "write finite numbers; a model that gives NaN has diverged"))
    if scan.negative:
        what = f"X holds {scan.negative:,} negative values (lowest {scan.lowest:.3g})"
        findings.append(Finding("error", what, "expression is never below 0; clip there"))
    if scan.stored and scan.fraction <= FRACTION:
        what = (
            f"X looks like counts: all {scan.stored:,} stored values are whole numbers (largest {scan.largest:,.0f}); "
            "the scorer would scale them to the file's own median, which on a screen of few genes is another quantity"
        )
        way_out = "write log1p(target_sum x count / n_umis) with the course's target_sum"
        findings.append(Finding("error", what, way_out))
        return findings
    if scan.largest >= LOG_LIMIT:
        what = f"X holds fractions and values up to {scan.largest:,.4g}; log1p expression stays below {LOG_LIMIT:g}"
        findings.append(Finding("error", what, "take log1p once, of counts scaled to target_sum"))
    if scan.zeros:
        findings.append(Finding("note", f"X stores {scan.zeros:,} zeros", "starter pack leaves them out"))
    totals = np.concatenate(scan.totals) if scan.totals else np.empty(0)
    if totals.size and due is not None and due.control_total and scan.largest < LOG_LIMIT:
        ratio = totals.mean() / due.control_total
        if not 1 / TOTAL_TOLERANCE < ratio < TOTAL_TOLERANCE:
            what = (
                f"the control cells add up to {totals.mean():,.0f} on the natural scale, the course's to "
                f"{due.control_total:,.0f}: they look scaled to target_sum {ratio * due.target_sum:,.0f}, "
                f"not {due.target_sum:,.0f}"
            )
            way_out = "include the course's control cells unchanged, and scale predictions to the same target_sum"
            findings.append(Finding("error", what, way_out))
    return findings
