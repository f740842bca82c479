import io
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard
from uploads import in_upload

from starter.errors import InputError
from starter.prediction import pack
from starter.prediction.check import check_prediction
from starter.prediction.requirements import Requirements


def errors(path: Path, due: Requirements | None) -> list[str]:
    return [str(finding) for finding in check_prediction(path, due) if finding.level == "error"]


def test_a_prediction_file_under_an_uploads_name(good: Path, tmp_path: Path):
    (tmp_path / "x.vcc").write_bytes(good.read_bytes())
    said = ["it is an .h5ad (HDF5) under the name of an upload; pack it with: starter pack"]
    assert errors(tmp_path / "x.vcc", None) == said


def archive(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


ZST = zstandard.compress(b"x" * 1000)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (
            {"pred.h5ad.zst": ZST},
            "the archive has no watermark.txt (season 2025) and no meta.json (season 2026); pack it again",
        ),
        ({"watermark.txt": b"vcc-prep"}, "the archive has no pred.h5ad.zst"),
        (
            {"../../pred.h5ad.zst": ZST, "pred.h5ad.zst": ZST, "watermark.txt": b"vcc-prep"},
            "the archive holds '../../pred.h5ad.zst', and should hold only pred.h5ad.zst and watermark.txt",
        ),
        ({"/etc/passwd": b"x", "pred.h5ad.zst": ZST, "watermark.txt": b"vcc-prep"}, "the archive holds '/etc/passwd'"),
        (
            {"pred.h5ad.zst": link("pred.h5ad.zst", "/etc/passwd"), "watermark.txt": b"vcc-prep"},
            "the archive holds 'pred.h5ad.zst', and should hold only",
        ),
        ({"pred.h5ad.zst": b"not zstandard", "watermark.txt": b"vcc-prep"}, "pred.h5ad.zst is truncated or damaged"),
        (
            {"pred.h5ad.zst": ZST[:-5], "watermark.txt": b"vcc-prep"},
            "is truncated: 0 of 1,000 bytes came out",
        ),
        ({"pred.h5ad.zst": ZST, "watermark.txt": b"vcc-prep"}, None),
    ],
)
def test_a_bad_archive(tmp_path: Path, members: dict, said: str | None):
    found = errors(archive(tmp_path / "x.vcc", members), None)
    assert len([message for message in found if said is None or said in message]) == 1
    if said is None:
        assert found[0].endswith("is not an .h5ad file (HDF5): it starts with b'xxxxxxxx'; download or write it again")
    with pytest.raises(InputError):
        in_upload(tmp_path / "x.vcc")


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_truncated_upload(good: Path, tmp_path: Path, keep: float):
    pack.pack(good, tmp_path / "x.vcc")
    content = (tmp_path / "x.vcc").read_bytes()
    (tmp_path / "x.vcc").write_bytes(content[: int(len(content) * keep)])
    found = errors(tmp_path / "x.vcc", None)
    assert len(found) == 1
    assert found[0].startswith("the archive is truncated or damaged (unexpected end of data)")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, due: Requirements):
    bomb = zstandard.compress(bytes(600 << 20))
    assert len(bomb) < 100_000
    found = errors(archive(tmp_path / "x.vcc", {"pred.h5ad.zst": bomb, "watermark.txt": b"vcc-prep"}), due)
    assert len(found) == 1
    assert found[0].startswith("pred.h5ad.zst grows beyond 0.5 GB when unpacked, more than a prediction needs")


def test_a_bomb_that_hides_its_size_is_stopped(tmp_path: Path, due: Requirements):
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    bomb = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(600)) + compressor.flush()
    found = errors(archive(tmp_path / "x.vcc", {"pred.h5ad.zst": bomb, "watermark.txt": b"vcc-prep"}), due)
    assert "grows beyond 0.5 GB when unpacked" in found[0]


def test_a_sparse_member_is_refused(good: Path, tmp_path: Path):
    """GNU tar's sparse members state any size in a few bytes."""
    (tmp_path / "pred.h5ad.zst").write_bytes(b"")
    with (tmp_path / "pred.h5ad.zst").open("r+b") as file:
        file.truncate(1 << 30)
    (tmp_path / "watermark.txt").write_text("vcc-prep")
    command = ["tar", "--sparse", "-cf", tmp_path / "x.vcc", "-C", tmp_path, "pred.h5ad.zst", "watermark.txt"]
    subprocess.run(command, check=True)
    assert (tmp_path / "x.vcc").stat().st_size < 100_000
    assert "the archive holds 'pred.h5ad.zst', and should hold only" in errors(tmp_path / "x.vcc", None)[0]


def test_a_flipped_byte_in_an_upload_is_found(good: Path, tmp_path: Path):
    pack.pack(good, tmp_path / "x.vcc")
    content = bytearray((tmp_path / "x.vcc").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "x.vcc").write_bytes(content)
    assert "pred.h5ad.zst is truncated or damaged" in errors(tmp_path / "x.vcc", None)[0]
