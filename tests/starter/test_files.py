import errno
import os
import shutil
from pathlib import Path

import pytest

from starter.errors import InputError
from starter.files import reason_of, whole


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file can be copied, since the disk is full."""

    def refuse(source: str, target: str, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), target)

    monkeypatch.setattr(shutil, "copyfile", refuse)


def test_of_many_files_that_could_not_be_copied_one_reason_is_said(full_disk: None, tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / "from" / name).mkdir(parents=True)
        (tmp_path / "from" / name / "file").touch()
    with pytest.raises(shutil.Error) as error:
        shutil.copytree(tmp_path / "from", tmp_path / "to")
    assert len(error.value.args[0]) == 2
    assert reason_of(error.value) == "No space left on device"
    with pytest.raises(InputError) as said, whole(tmp_path / "there") as part:
        shutil.copytree(tmp_path / "from", part)
    assert str(said.value) == f"cannot write {tmp_path / 'there'}: No space left on device"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["from", "to"]


def test_the_reason_of_one_file_is_the_systems():
    assert reason_of(OSError(errno.EACCES, "Permission denied", "/x")) == "Permission denied"
    assert reason_of(OSError("odd")) == "odd"
