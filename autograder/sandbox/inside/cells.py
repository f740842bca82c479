"""Which cells of a notebook are run for grading. Runs on both sides."""

from collections.abc import Iterator

NOT_GRADED = "not-graded"
"""Tag of cells that are left out: plots, training, local checks."""


def cells_to_run(notebook: dict) -> Iterator[tuple[int, str]]:
    """Give number, from 1, and source of the code cells that are neither checks nor tagged."""
    for number, cell in enumerate(notebook["cells"], start=1):
        grader = cell["metadata"].get("nbgrader", {})
        is_check = grader.get("grade", False) and not grader.get("solution", False)
        if cell["cell_type"] == "code" and not is_check and NOT_GRADED not in cell["metadata"].get("tags", []):
            yield number, "".join(cell["source"])
