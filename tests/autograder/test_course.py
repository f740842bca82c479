import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autograder.course import Course, read_course
from starter.schema import InputError

MINIMAL = '[course]\nname = "my-course"\n'


def course(tmp_path: Path, text: str = MINIMAL) -> Course:
    (tmp_path / "course.toml").write_text(text)
    return read_course(tmp_path)


def test_the_projects_own_course_is_sound():
    own = read_course(Path(__file__).parents[2])
    assert own.name == "virtual-cell"
    assert list(own.stages) == ["04_baselines"]
    assert own.data.seed is None, "a graded course's seed is secret"


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
        (MINIMAL + "[stages.baselines]\n", "stages.baselines.*: string should match pattern"),
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
