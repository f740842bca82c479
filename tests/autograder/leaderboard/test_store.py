import hashlib
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text

from autograder.leaderboard import accounts, choice, store
from autograder.leaderboard.tables import (
    INSTRUCTOR,
    QUEUED,
    REFUSED,
    SCORED,
    SCORING,
    WITHDRAWN,
    Entry,
    Fact,
    Upload,
    Visit,
)
from starter.errors import InputError

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)


def test_an_upload_becomes_an_entry_once(engine: Engine, arrive: Callable, tmp_path: Path) -> None:
    entry = arrive("red", 1, b"real cells")
    assert (tmp_path / "entries" / str(entry.id) / "p.vcc").read_bytes() == b"real cells"
    assert entry.sha256 == hashlib.sha256(b"real cells").hexdigest()
    assert not (tmp_path / "arriving" / "1").exists()
    with store.session(engine) as now:
        upload = now.get_one(Upload, "1")
        stored = now.get_one(Entry, entry.id)
        assert (stored.state, stored.received, stored.size) == (QUEUED, NOON, 10)
    again = store.accept(engine, tmp_path, upload, NOON + timedelta(hours=1), 5)
    assert again.id == entry.id
    with store.session(engine) as now:
        assert now.scalars(select(Entry.id)).all() == [entry.id]


def test_what_a_team_sent_before_is_found_by_its_hash(engine: Engine, arrive: Callable, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(b"cells").hexdigest()

    def sent(number: str, team: str, sha256: str) -> Upload:
        (tmp_path / "arriving").mkdir(exist_ok=True)
        (tmp_path / "arriving" / number).write_bytes(b"cells")
        upload = Upload(id=number, account=team, file="p.vcc", note="ridge", size=5, sha256=sha256, begun=NOON)
        with store.writing(engine) as now:
            now.add(upload)
        return upload

    def found(team: str = "red", digest: str = sha256) -> str | None:
        with store.session(engine) as now:
            upload = store.sent_before(now, team, "p.vcc", 5, digest)
            return upload and upload.id

    assert found() is None
    upload = sent("1", "red", sha256)
    assert (found(), found("blue"), found(digest="0" * 64)) == ("1", None, None)
    entry = store.accept(engine, tmp_path, upload, NOON, 5)
    assert (entry.note, found()) == ("ridge", "1")
    with store.writing(engine) as now:
        now.get_one(Entry, entry.id).state = WITHDRAWN
    assert found() is None, "it may come again"
    with pytest.raises(store.ChangedError, match="not p.vcc as it was when the upload began"):
        store.accept(engine, tmp_path, sent("2", "red", "0" * 64), NOON, 5)
    assert [path.name for path in (tmp_path / "entries").iterdir()] == [str(entry.id)]


def test_after_an_answer_that_was_lost_nothing_is_there_twice(
    engine: Engine, arrive: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay = store._lay

    def die(file: Path, folder: Path, name: str) -> None:
        lay(file, folder, name)
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "_lay", die)
    with pytest.raises(KeyboardInterrupt):
        arrive("red", 1, b"cells")
    monkeypatch.undo()
    with store.session(engine) as now:
        assert not now.scalars(select(Entry)).all()
        upload = now.get_one(Upload, "1")
    entry = store.accept(engine, tmp_path, upload, NOON, 5)
    assert [path.read_bytes() for path in (tmp_path / "entries" / str(entry.id)).iterdir()] == [b"cells"]


def test_a_day_has_its_entries_and_refused_ones_do_not_count(engine: Engine, arrive: Callable) -> None:
    first = arrive("red", 1, per_day=2)
    arrive("red", 2, per_day=2)
    with pytest.raises(
        store.TooManyError, match="2 entries of today; the next is taken from 2026-10-02 00:00"
    ) as error:
        arrive("red", 3, per_day=2)
    assert error.value.until == datetime(2026, 10, 2, tzinfo=UTC)
    arrive("blue", 4, per_day=2)
    arrive("red", 5, received=NOON + timedelta(hours=12), per_day=2)
    with store.writing(engine) as now:
        now.get_one(Entry, first.id).state = REFUSED
        assert store.used_today(now, "red", NOON) == 1


@pytest.mark.parametrize(
    ("file", "size", "reason"),
    [
        ("../p.vcc", 5, "no file name that is taken"),
        ("p.csv", 5, "ends with .h5ad or .vcc"),
        (".vcc", 5, "no file name"),
        ("p.vcc", 6, "5 of the 6 bytes"),
    ],
)
def test_what_cannot_be_an_entry_is_refused(
    engine: Engine, arrive: Callable, tmp_path: Path, file: str, size: int, reason: str
) -> None:
    del arrive
    (tmp_path / "arriving").mkdir()
    (tmp_path / "arriving" / "1").write_bytes(b"cells")
    with store.writing(engine) as now:
        now.add(upload := Upload(id="1", account="red", file=file, size=size, begun=NOON))
    with pytest.raises(InputError, match=reason):
        store.accept(engine, tmp_path, upload, NOON, 5)
    with store.session(engine) as now:
        assert not now.scalars(select(Entry)).all()


def test_a_closed_board_takes_nothing(engine: Engine, arrive: Callable) -> None:
    with store.writing(engine) as now:
        now.add(Fact(name="ends", value={"is": NOON.isoformat()}))
    arrive("red", 1)
    with pytest.raises(InputError, match="closed at 2026-10-01 12:00 UTC"):
        arrive("red", 2, received=NOON + timedelta(seconds=1))


def test_each_entry_is_claimed_once(engine: Engine, arrive: Callable) -> None:
    ids = [arrive("red", number, per_day=99).id for number in range(24)]
    begin = threading.Barrier(4)

    def work(worker: int) -> list[int]:
        begin.wait()
        mine = []
        while (entry := store.claim(engine, f"worker {worker}")) is not None:
            mine.append(entry.id)
            with store.writing(engine) as now:
                held = store.held_by(now, entry.id, f"worker {worker}")
                assert held is not None
                held.state = SCORED
        return mine

    with ThreadPoolExecutor(4) as pool:
        claimed = [identity for mine in pool.map(work, range(4)) for identity in mine]
    assert Counter(claimed) == Counter(ids)


def test_a_worker_gets_back_what_it_holds_and_a_fault_of_ours_goes_to_the_end(engine: Engine, arrive: Callable) -> None:
    first, second = arrive("red", 1), arrive("blue", 2)
    claimed = store.claim(engine, "one")
    assert claimed is not None
    assert claimed.id == first.id
    again = store.claim(engine, "one")  # its answer was lost
    assert again is not None
    assert (again.id, again.tries) == (first.id, 1)
    with store.writing(engine) as now:
        assert store.places(now, "blue") == {second.id: 2}
        assert store.give_back(now, "one", "the disk is full") == [first.id]
        assert store.held_by(now, first.id, "one") is None
    with store.session(engine) as now:
        assert store.places(now, "red") | store.places(now, "blue") == {first.id: 2, second.id: 1}


def test_a_connection_that_is_ended_half_way_loses_nothing(engine: Engine, arrive: Callable, tmp_path: Path) -> None:
    if engine.dialect.name != "postgresql":
        pytest.skip("SQLite has no connection that a server ends")
    arrive("red", 1)
    ended = []

    def work(now: store.Session) -> str:
        entry = now.scalars(select(Entry)).one()
        entry.state = SCORING
        now.flush()
        if not ended:
            ended.append(now.scalar(text("select pg_backend_pid()")))
            with engine.connect() as other:
                other.execute(text("select pg_terminate_backend(:pid)"), {"pid": ended[0]})
        return "done"

    assert store.keep_trying(engine, work) == "done"
    assert ended
    with store.session(engine) as now:
        assert now.scalars(select(Entry.state)).one() == SCORING


def test_a_full_disk_accepts_nothing_and_keeps_the_upload(
    engine: Engine, arrive: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", full)
    with pytest.raises(InputError, match="could not be kept"):
        arrive("red", 1)
    assert (tmp_path / "arriving" / "1").read_bytes() == b"cells"
    monkeypatch.undo()
    with store.session(engine) as now:
        assert not now.scalars(select(Entry)).all()
        upload = now.get_one(Upload, "1")
    assert store.accept(engine, tmp_path, upload, NOON, 5).state == QUEUED


def test_a_database_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be opened") as error:
        store.open_board(f"sqlite:///{tmp_path}/missing/board.db")
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"cannot be opened"):
        store.open_board("postgresql+psycopg://user:hush@127.0.0.1:1/board")
    with pytest.raises(InputError) as error:
        store.open_board("postgresql+psycopg://user:hush@127.0.0.1:1/board")
    assert "hush" not in str(error.value)


def test_a_database_of_another_version_is_refused_and_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE entries DROP COLUMN note"))
    url = engine.url.render_as_string(hide_password=False)
    with pytest.raises(InputError, match="another version of the kit: its table entries has no column note; go on"):
        store.open_board(url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE entries ADD COLUMN note VARCHAR"))
    store.open_board(url).dispose()


def test_tokens_are_kept_as_hashes_and_a_new_one_ends_the_old(engine: Engine) -> None:
    old = accounts.make_tokens(engine, ["red"], "team")["red"]
    with store.writing(engine) as now:
        now.add(Visit(cookie_hash="c", account="red", csrf="x", ends=NOON))
        found = accounts.find(now, old)
        assert found is not None
        assert found.token_hash == hashlib.sha256(old.encode()).hexdigest()
        assert accounts.find(now, old + "x") is None
    new = accounts.make_tokens(engine, ["red"], "team")["red"]
    accounts.make_tokens(engine, [INSTRUCTOR], INSTRUCTOR)
    with store.session(engine) as now:
        assert accounts.find(now, old) is None
        assert (found := accounts.find(now, new)) is not None
        assert found.name == "red"
        assert not now.scalars(select(Visit)).all()


def test_one_scored_entry_is_chosen_until_the_board_closes(engine: Engine, arrive: Callable) -> None:
    first, second = arrive("red", 1), arrive("red", 2)
    with store.writing(engine) as now:
        with pytest.raises(InputError, match="is queued"):
            choice.choose(now, first)
        for entry in now.scalars(select(Entry)):
            entry.state = SCORED
    for entry in (first, second):
        with store.writing(engine) as now:
            choice.choose(now, now.get_one(Entry, entry.id))
    with store.writing(engine) as now:
        assert now.scalars(select(Entry.id).where(Entry.chosen)).all() == [second.id]
        now.add(Fact(name="ends", value={"is": NOON.replace(year=2020).isoformat()}))
        now.flush()
        with pytest.raises(InputError, match="has closed"):
            choice.choose(now, now.get_one(Entry, first.id))
