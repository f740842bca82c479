import pytest
from handing_in import grade_one, submit

from autograder.course import Course
from autograder.grade import Result
from autograder.sandbox import NoSandboxError, check_sandbox


@pytest.fixture(scope="session")
def sandbox_here() -> None:
    """Skip where students' code cannot be run."""
    try:
        check_sandbox()
    except NoSandboxError as error:
        pytest.skip(str(error))


@pytest.fixture
def graded(sandbox_here: None, course: Course):
    def run(code: str | None = None, extra: str = "") -> Result:
        submit(course, "ada", code, extra)
        return grade_one(course)

    return run
