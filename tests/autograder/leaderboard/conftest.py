import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from handing_in import STAGE
from sqlalchemy import Engine

from autograder.course import Course, read_course
from autograder.leaderboard import halves
from autograder.leaderboard.accounts import make_tokens
from autograder.leaderboard.board import Board, board_of
from autograder.leaderboard.store import accept, open_board, writing
from autograder.leaderboard.tables import TEAM, Entry, Table, Upload

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """Give the URL of a PostgreSQL of our own, which listens on a socket alone."""
    if not POSTGRES:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # not below pytest's, which its owner alone may enter
    programs = POSTGRES[-1].parent
    as_owner: list[str] = []
    if os.geteuid() == 0:  # it refuses to run as root
        folder.chmod(0o755)
        shutil.chown(folder, "postgres")
        as_owner = ["runuser", "-u", "postgres", "--"]

    def run(*command: str) -> None:
        subprocess.run([*as_owner, *command], check=True, cwd=folder, stdout=subprocess.DEVNULL)

    run(str(programs / "initdb"), "-D", f"{folder}/data", "-A", "trust", "-U", "board")
    options = f"-k {folder} -c listen_addresses='' -c unix_socket_permissions=0777"
    run(str(programs / "pg_ctl"), "-w", "-D", f"{folder}/data", "-l", f"{folder}/log", "-o", options, "start")
    yield f"postgresql+psycopg://board@/postgres?host={folder}"
    run(str(programs / "pg_ctl"), "-w", "-m", "immediate", "-D", f"{folder}/data", "stop")
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Give an empty board, by SQLite and by a real PostgreSQL."""
    url = f"sqlite:///{tmp_path}/board.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("cluster")
    engine = open_board(url)
    yield engine
    Table.metadata.drop_all(engine)
    engine.dispose()


@pytest.fixture
def board(course: Course, monkeypatch: pytest.MonkeyPatch) -> Board:
    """A board whose six hidden perturbations make two halves of three."""
    monkeypatch.setattr(halves, "FEWEST", 3)
    path = course.root / "course.toml"
    path.write_text(path.read_text() + f'\n[leaderboard]\nstage = "{STAGE}"\n')
    return board_of(read_course(course.root))


@pytest.fixture
def arrive(engine: Engine, tmp_path: Path) -> Callable[..., Entry]:
    """Upload some bytes as a team, and have them accepted."""

    def accepted(
        team: str, number: int, content: bytes = b"cells", received: datetime = NOON, per_day: int = 5
    ) -> Entry:
        return accept(engine, tmp_path, upload(engine, tmp_path, team, number, content), received, per_day)

    make_tokens(engine, ["red", "blue"], TEAM)
    return accepted


def upload(engine: Engine, folder: Path, team: str, number: int, content: bytes, file: str = "p.vcc") -> Upload:
    (folder / "arriving").mkdir(exist_ok=True)
    (folder / "arriving" / f"{number}").write_bytes(content)
    arrived = Upload(id=f"{number}", account=team, file=file, size=len(content), begun=NOON)
    with writing(engine) as now:
        now.add(arrived)
    return arrived
