"""The challenge's upload, `.vcc` of season 2025: a plain tar of `pred.h5ad.zst` (zstandard) and `watermark.txt`."""

import io
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import zstandard

from starter.blocks import HDF5_MAGIC, check_room
from starter.files import check_file
from starter.schema import Finding, FindingsError, InputError, some

PREDICTION, WATERMARK = "pred.h5ad.zst", "watermark.txt"
WATERMARK_TEXT = b"vcc-prep"
FOREIGN = {b"\x1f\x8b": "gzip", b"PK": "zip", b"\x28\xb5\x2f\xfd": "zstandard", b"<": "HTML or XML",
           b"PAR1": "a profile table (parquet), of which starter.cells makes cells"}  # fmt: skip
"""What else a file may be, by how it begins."""
FRAME_HEADER = 18
"""Bytes of a zstandard frame's header, at most."""
AGAIN = "pack it again with: starter pack"


def write_archive(prediction: Path, archive: Path) -> None:
    """Compress a prediction file and put it into an archive. The same file gives the same archive.

    Parameters
    ----------
    prediction
        The `.h5ad`.
    archive
        The `.vcc` to write.
    """
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        packed = Path(folder) / PREDICTION
        with prediction.open("rb") as source, packed.open("wb") as sink:
            compressor = zstandard.ZstdCompressor(level=3, threads=-1, write_checksum=True)
            compressor.copy_stream(source, sink, size=prediction.stat().st_size)
        with tarfile.open(archive, "w") as tar:
            tar.add(packed, PREDICTION, filter=_anonymous)
            watermark = _anonymous(tarfile.TarInfo(WATERMARK))
            watermark.size = len(WATERMARK_TEXT)
            tar.addfile(watermark, io.BytesIO(WATERMARK_TEXT))


@contextmanager
def unpacked(path: str | Path, limit: int) -> Iterator[Path]:
    """Give the `.h5ad` of a prediction: the file itself, or what an archive holds, unpacked for the time of the block.

    Parameters
    ----------
    path
        `.h5ad` or `.vcc`; its content decides, not its name.
    limit
        Bytes to which an archive may unpack.

    Yields
    ------
    The path of an HDF5 file.

    Raises
    ------
    InputError
        If there is no such file.
    FindingsError
        If it is neither, or the archive is not sound.
    """
    path = Path(path)
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
            if findings := _extract(path, target, limit):
                raise FindingsError(str(path), findings)
            yield target
    else:
        kind = next((name for magic, name in FOREIGN.items() if start.startswith(magic)), "unknown")
        what = f"it is neither an .h5ad (HDF5) nor a .vcc (tar); its content is {kind if start else 'empty'}"
        finding = Finding("error", what, "write it with starter.submission, or pack it with: starter pack")
        raise FindingsError(str(path), [finding])


def _extract(path: Path, target: Path, limit: int) -> list[Finding]:
    """Unpack the prediction, or say what is wrong."""
    try:
        with tarfile.open(path, "r:") as archive:
            if findings := _check_members(archive.getmembers()):
                return findings
            return _decompress(archive.extractfile(PREDICTION), target, limit)
    except (tarfile.TarError, EOFError, OverflowError, ValueError) as error:
        return [Finding("error", f"the archive is truncated or damaged ({error})", "copy it or pack it again")]
    except zstandard.ZstdError as error:
        return [Finding("error", f"{PREDICTION} is truncated or damaged ({error})", "copy it or pack it again")]


def _check_members(members: list[tarfile.TarInfo]) -> list[Finding]:
    findings = []
    expected = {PREDICTION, WATERMARK}
    names = [member.name for member in members if member.isreg() and not member.issparse()]
    odd = [repr(member.name) for member in members if member.name not in names or member.name not in expected]
    if odd:
        what = f"the archive holds {some(odd)}, and should hold only {PREDICTION} and {WATERMARK}"
        findings.append(Finding("error", what, AGAIN))
    if missing := expected - {member.name for member in members}:
        findings.append(Finding("error", f"the archive has no {' and no '.join(sorted(missing))}", AGAIN))
    if len(names) > len(set(names)):
        findings.append(Finding("error", "the archive holds a file twice", AGAIN))
    return findings


def _decompress(source: IO[bytes], target: Path, limit: int) -> list[Finding]:
    start = source.read(FRAME_HEADER)
    stated = zstandard.get_frame_parameters(start).content_size
    known = stated not in (zstandard.CONTENTSIZE_UNKNOWN, zstandard.CONTENTSIZE_ERROR)
    source.seek(0)
    if known and stated <= limit:
        check_room(target.parent, stated)
    written = 0
    try:
        with target.open("wb") as sink, zstandard.ZstdDecompressor().stream_reader(source) as reader:
            while (not known or stated <= limit) and (chunk := reader.read(1 << 20)):
                written += len(chunk)
                if written > limit:
                    break
                sink.write(chunk)
    except OSError as error:
        msg = f"cannot unpack into {target.parent}: {error.strerror or error}; set TMPDIR to a folder with room"
        raise InputError(msg) from error
    if written > limit or (known and stated > limit):
        what = f"{PREDICTION} grows beyond {limit / 1e9:.1f} GB when unpacked, more than a prediction needs"
        return [Finding("error", what, AGAIN)]
    if known and written < stated:
        # the library reads an unfinished frame to its end without a word
        what = f"{PREDICTION} is truncated: {written:,} of {stated:,} bytes came out"
        return [Finding("error", what, "copy it or pack it again")]
    return []


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who packed it and when: the same prediction gives the same file."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member
