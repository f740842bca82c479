"""The challenge's upload, `.vcc`: a plain tar of `pred.h5ad.zst` (zstandard) and a small file that tells the season."""

import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import zstandard

from starter import progress
from starter.data.foreign import kind_of
from starter.data.h5ad import HDF5_MAGIC
from starter.data.zarr_store import is_store
from starter.errors import Finding, FindingsError, InputError, listed
from starter.files import check_file, check_room
from starter.prediction.season import PREDICTION, SEASONS, Season

FRAME_HEADER = 18
"""Bytes of a zstandard frame's header, at most."""
CHUNK = 16 << 20
"""Bytes that are compressed at once."""
MAX_WORKERS = 8
"""Threads that compress; each has its own buffers."""
LARGE = 8 << 30
"""Bytes of a member from which on only GNU's form of its header is one block."""
MAX_SIDECAR = 64 << 10
"""Bytes of the file beside the prediction, at most."""
AGAIN = "pack it again with: starter pack"


def write_archive(prediction: Path, archive: Path, season: Season, sidecar: bytes) -> None:
    """Compress a prediction file into an archive. The same file gives the same archive.

    Parameters
    ----------
    prediction
        The `.h5ad`.
    archive
        The `.vcc` to write.
    season
        Whose upload it is.
    sidecar
        The content of the small file beside the prediction.
    """
    with archive.open("wb") as sink:
        for name in season.members:
            head = sink.tell()
            sink.seek(tarfile.BLOCKSIZE, os.SEEK_CUR)  # a member's size stands before it, and is known behind it
            if name == PREDICTION:
                _compress(prediction, sink)
            else:
                sink.write(sidecar)
            end = sink.tell()
            sink.seek(head)
            sink.write(_header(name, end - head - tarfile.BLOCKSIZE))
            sink.seek(end)
            _fill(sink, tarfile.BLOCKSIZE)
        sink.write(bytes(2 * tarfile.BLOCKSIZE))
        _fill(sink, tarfile.RECORDSIZE)


def _header(name: str, size: int) -> bytes:
    """Describe a member without saying who packed it and when: the same prediction gives the same file."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.PAX_FORMAT if size < LARGE else tarfile.GNU_FORMAT)  # either is one block


def _fill(sink: IO[bytes], unit: int) -> None:
    sink.write(bytes(-sink.tell() % unit))


def _compress(path: Path, sink: IO[bytes]) -> None:
    size = path.stat().st_size
    threads = min(os.cpu_count() or 1, MAX_WORKERS)
    compressor = zstandard.ZstdCompressor(level=3, threads=threads, write_checksum=True)
    with (
        path.open("rb") as source,
        compressor.stream_writer(sink, size=size, closefd=False) as writer,
        progress.bar("compress", -(-size // CHUNK)) as advance,
    ):
        while chunk := source.read(CHUNK):
            writer.write(chunk)
            advance()


def season_of(path: str | Path) -> Season | None:
    """Give the season of an upload.

    Parameters
    ----------
    path
        Any file; its content decides, not its name.

    Returns
    -------
    The season, or None if it is no upload or none that can be read; `unpacked` says what is wrong with it.

    Raises
    ------
    InputError
        If there is no such file.
    """
    if is_store(path):
        return None
    check_file(path)
    try:
        with tarfile.open(path, "r:") as archive:
            return _season(archive.getnames())
    except (tarfile.TarError, OSError, EOFError, OverflowError, ValueError):
        return None


def read_sidecar(path: str | Path, season: Season) -> bytes:
    """Read the small file beside the prediction of a sound upload."""
    with tarfile.open(path, "r:") as archive:
        return _open_member(archive, season.sidecar).read(MAX_SIDECAR + 1)


@contextmanager
def unpacked(path: str | Path, n_genes: int | None = None) -> Iterator[Path]:
    """Give the `.h5ad` of a prediction: the file or Zarr store itself, or what an archive holds, unpacked for a block.

    Parameters
    ----------
    path
        `.h5ad`, Zarr store, or `.vcc` of any season; its content decides, not its name.
    n_genes
        How many genes are due, which limits what an archive may unpack to.

    Yields
    ------
    The path of an HDF5 file or a Zarr store.

    Raises
    ------
    InputError
        If there is no such file.
    FindingsError
        If it is neither, or the archive is not sound.
    """
    path = Path(path)
    if is_store(path):
        yield path
        return
    check_file(path)
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(HDF5_MAGIC):
        if path.suffix == ".vcc":
            finding = Finding(
                "error", "it is an .h5ad (HDF5) under the name of an upload", "pack it with: starter pack"
            )
            raise FindingsError(str(path), [finding])
        yield path
    elif start[257:262] == b"ustar":
        with tempfile.TemporaryDirectory(prefix="vcc-") as folder:
            target = Path(folder) / "pred.h5ad"
            with target.open("wb") as sink:
                extract(path, sink, n_genes, Path(folder))
            yield target
    else:
        what, way_out = kind_of(start, path.name)
        finding = Finding("error", f"it is neither an .h5ad (HDF5) nor a .vcc (tar): {what}", way_out)
        raise FindingsError(str(path), [finding])


def extract(path: str | Path, sink: IO[bytes], n_genes: int | None = None, folder: Path | None = None) -> None:
    """Write the `.h5ad` that an upload holds to an open file or a pipe.

    Parameters
    ----------
    path
        The `.vcc`.
    sink
        Where the bytes go.
    n_genes
        How many genes are due, which limits what the archive may unpack to.
    folder
        Where `sink` is, if it is on a disk, so that its room is looked at first.

    Raises
    ------
    FindingsError
        If the archive is not sound. What was written until then is of no use.
    InputError
        If there is no room.
    """
    if findings := _extract(Path(path), sink, n_genes, folder):
        raise FindingsError(str(path), findings)


def _extract(path: Path, sink: IO[bytes], n_genes: int | None, folder: Path | None) -> list[Finding]:
    """Unpack the prediction, or say what is wrong."""
    try:
        with tarfile.open(path, "r:") as archive:
            season = _season(archive.getnames())
            if season is None:
                names = " and no ".join(f"{season.sidecar} (season {season.year})" for season in SEASONS)
                return [Finding("error", f"the archive has no {names}", AGAIN)]
            if findings := _check_members(archive.getmembers(), season):
                return findings
            with progress.spinner("unpack"):
                return _decompress(_open_member(archive, PREDICTION), sink, season.size_limit(n_genes), folder)
    except (tarfile.TarError, EOFError, OverflowError, ValueError) as error:
        return [Finding("error", f"the archive is truncated or damaged ({error})", "copy it or pack it again")]
    except zstandard.ZstdError as error:
        return [Finding("error", f"{PREDICTION} is truncated or damaged ({error})", "copy it or pack it again")]


def _open_member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """Open a file of an archive whose members are known to be regular files."""
    if (member := archive.extractfile(name)) is None:
        msg = f"{name} is no regular file"
        raise tarfile.ReadError(msg)
    return member


def _season(names: list[str]) -> Season | None:
    return next((season for season in reversed(SEASONS) if season.sidecar in names), None)


def _check_members(members: list[tarfile.TarInfo], season: Season) -> list[Finding]:
    findings = []
    expected = set(season.members)
    names = [member.name for member in members if member.isreg() and not member.issparse()]
    odd = [repr(member.name) for member in members if member.name not in names or member.name not in expected]
    if odd:
        what = f"the archive holds {listed(odd)}, and should hold only {' and '.join(season.members)}"
        findings.append(Finding("error", what, AGAIN))
    if missing := expected - {member.name for member in members}:
        findings.append(Finding("error", f"the archive has no {' and no '.join(sorted(missing))}", AGAIN))
    if len(names) > len(set(names)):
        findings.append(Finding("error", "the archive holds a file twice", AGAIN))
    return findings


def _decompress(source: IO[bytes], sink: IO[bytes], limit: int, folder: Path | None) -> list[Finding]:
    start = source.read(FRAME_HEADER)
    stated = zstandard.get_frame_parameters(start).content_size
    known = stated not in (zstandard.CONTENTSIZE_UNKNOWN, zstandard.CONTENTSIZE_ERROR)
    source.seek(0)
    if known and stated <= limit and folder:
        check_room(folder, stated)
    written = 0
    try:
        with zstandard.ZstdDecompressor().stream_reader(source) as reader:
            while (not known or stated <= limit) and (chunk := reader.read(1 << 20)):
                written += len(chunk)
                if written > limit:
                    break
                sink.write(chunk)
    except OSError as error:
        where = f"into {folder}: " if folder else ""
        msg = f"cannot unpack {where}{error.strerror or error}; set TMPDIR to a folder with room"
        raise InputError(msg) from error
    if written > limit or (known and stated > limit):
        what = f"{PREDICTION} grows beyond {limit / 1e9:.1f} GB when unpacked, more than a prediction needs"
        return [Finding("error", what, AGAIN)]
    if written < (stated if known else 1):
        # the library reads an unfinished frame to its end without a word; where the frame does not state its size,
        # HDF5 misses the rest
        what = f"{PREDICTION} is truncated: {written:,} of {f'{stated:,}' if known else 'unknown'} bytes came out"
        return [Finding("error", what, "copy it or pack it again")]
    return []
