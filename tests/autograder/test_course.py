import json
import re
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import get_args, get_origin

import pytest

from autograder.course import Course, read_course
from autograder.settings import Section, Settings
from starter.errors import InputError

STAGES = ("01_first", "02_second", "03_third", None)
MINIMAL = '[course]\nname = "my-course"\n'


def course(tmp_path: Path, text: str = MINIMAL) -> Course:
    (tmp_path / "course.toml").write_text(text)
    return read_course(tmp_path)


def test_the_projects_own_course_is_sound():
    own = read_course(Path(__file__).parents[2])
    assert own.name == "virtual-cell"
    assert [stage for stage in own.stages if own.stages[stage].prediction] == ["04_baselines", "09_vcc_submission"]
    assert own.data.seed is None, "a graded course's seed is secret"


def test_times_are_shown_in_the_zone_that_is_named_or_else_in_that_of_the_deadline(tmp_path: Path):
    stages = """
[stages.01_first]
[stages.02_second]
deadline = 2026-10-01T23:59:00+02:00
[stages.03_third]
deadline = 2026-12-01T23:59:00+01:00
"""
    hours = [None if zone is None else str(zone) for zone in map(course(tmp_path, MINIMAL + stages).zone, STAGES)]
    assert hours == [None, "UTC+02:00", "UTC+01:00", "UTC+02:00"]
    assert course(tmp_path, MINIMAL + stages.replace("+01:00", "Z")).zone("03_third") is None
    named = course(tmp_path, MINIMAL + 'timezone = "Asia/Shanghai"\n' + stages)
    assert {str(named.zone(stage)) for stage in STAGES} == {"Asia/Shanghai"}


def test_folders_follow_from_the_name(tmp_path: Path):
    made = course(tmp_path)
    assert made.public_folder == tmp_path / "data" / "my-course"
    assert made.hidden_folder == tmp_path / "grading" / "my-course"
    assert (made.data.hidden, made.data.public, made.data.screen) == (48, 24, "simulated")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[course]\n", "course.name: this key is required"),
        ('[course]\nname = "../up"\n', "course.name: string should match pattern .*, not '../up'"),
        (MINIMAL + "[data]\nhiden = 3\n", "data.hiden: there is no such key"),
        (MINIMAL + "[data]\nhidden = 0\n", "data.hidden: input should be greater than 0, not 0"),
        (MINIMAL + '[data]\nseed = "x"\n', "data.seed: input should be a valid integer, not 'x'"),
        (MINIMAL + "[data]\nseed = -1\n", "data.seed: input should be greater than or equal to 0, not -1"),
        (
            MINIMAL + "[limits]\nmemory_gib = nan\n",
            "limits.memory_gib: input should be less than or equal to 4096, not nan",
        ),
        (
            MINIMAL + "[limits]\nmemory_gib = inf\n",
            "limits.memory_gib: input should be less than or equal to 4096, not inf",
        ),
        ('[course]\nname = "' + "x" * 65 + '"\n', "course.name: string should match pattern"),
        (MINIMAL + "[limits]\nseconds = -1\n", "limits.seconds: input should be greater than or equal to 1, not -1"),
        (
            MINIMAL + '[stages.04_baselines.prediction]\nprofile = "vcc2026"\n',
            "prediction.profile: input should be 'course' or 'vcc2025', not 'vcc2026'",
        ),
        (MINIMAL + "[stages.baselines]\n", "stages.baselines.*: string should match pattern"),
        (
            MINIMAL + 'timezone = "Nowhere/Berlin"\n',
            "course.timezone: .*it is the name of a time zone, as Europe/Berlin, not 'Nowhere/Berlin'",
        ),
        (MINIMAL + 'timezone = "../etc"\n', "it is the name of a time zone"),
        ("[course\n", "is not valid TOML"),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path: Path, text: str, said: str):
    with pytest.raises(InputError, match=said):
        course(tmp_path, text)


def test_a_missing_file_says_where_to_run(tmp_path: Path):
    with pytest.raises(
        InputError, match="cannot read .*course.toml: .*; run in the course's folder, or name its course.toml"
    ):
        read_course(tmp_path)


def test_the_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path):
    made = course(tmp_path)
    secret = made.secret()
    assert len(secret) == 32
    assert made.secret() == secret
    assert stat.S_IMODE((tmp_path / "grading" / "secret").stat().st_mode) == 0o600


def test_of_several_who_make_the_secret_at_once_one_wins(tmp_path: Path):
    for number in range(20):
        (tmp_path / str(number)).mkdir()
        made = course(tmp_path / str(number))
        with ThreadPoolExecutor(8) as pool:
            assert len({future.result() for future in [pool.submit(made.secret) for _ in range(8)]}) == 1
        assert [path.name for path in made.grading.iterdir()] == ["secret"]


def test_a_damaged_secret_is_not_replaced(tmp_path: Path):
    made = course(tmp_path)
    made.secret()
    (tmp_path / "grading" / "secret").write_text("ab\n")
    with pytest.raises(InputError, match="is damaged; restore it from a backup"):
        made.secret()


def test_hidden_seeds_differ_by_student_and_submission_and_stay(tmp_path: Path):
    made = course(tmp_path)
    seeds = {made.derived_seed("question", student, digest) for student in ("ada", "bob") for digest in ("x", "y")}
    assert len(seeds) == 4
    assert made.derived_seed("question", "ada", "x") in seeds
    # names cannot be shifted from one part into the next
    assert made.derived_seed("ab", "c") != made.derived_seed("a", "bc")


def test_another_course_has_other_seeds(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert course(tmp_path / "a").derived_seed("x") != course(tmp_path / "b").derived_seed("x")


def test_an_unknown_stage_names_those_there_are(tmp_path: Path):
    with pytest.raises(InputError, match="has no stage '05_cvae'; it has none"):
        course(tmp_path).check_stage("05_cvae")


def section_of(annotation: object) -> type[Section] | None:
    """Find the table that a key holds: itself, in a list or by a name."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := section_of(part))), None)


def keys_of(section: type[Section], table: str = "") -> Iterator[tuple[str, str | None]]:
    """Give a table's keys, with their defaults as TOML has them; None where there is no single value."""
    for key, field in section.model_fields.items():
        if table:
            default = "required" if field.is_required() else field.default
            text = default if isinstance(default, str) else json.dumps(default, default=str)
            yield f"{table}{key}", text if isinstance(default, str | int | float) and text else None
        if (inner := section_of(field.annotation)) is None:
            continue
        if get_origin(field.annotation) is list:
            yield from keys_of(inner, f"{table}{key}: ")
        else:
            place = ".".join(filter(None, (table.strip("[] "), key, "NN_stage" if key == "stages" else "")))
            yield from keys_of(inner, f"[{place}] ")


def test_the_guide_explains_every_key_with_its_default():
    page = (Path(__file__).parents[2] / "docs" / "instructor.md").read_text()
    _, _, rows = page.partition("| key | meaning | default |\n|---|---|---|\n")
    explained = []
    for row in rows.strip().splitlines():
        names, _, default = row.strip("| ").split(" | ")
        first, *others = re.findall("`([^`]+)`", names)
        place = first[: first.rindex(" ") + 1]
        # one default for all keys of a row, or one for each
        explained += zip(
            [first, *(place + name for name in others)], cycle(re.findall("`([^`]+)`", default) or [default])
        )
    due = dict(keys_of(Settings))
    assert sorted(name for name, _ in explained) == sorted(due)
    assert len(due) > 30
    assert {name: text for name, text in explained if due[name]} == {name: text for name, text in due.items() if text}
