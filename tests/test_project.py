"""What holds the project together: one list of dependencies, clean code, documents that are true."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def test_conda_and_pip_install_the_same():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    python, pip, packages = conda
    assert pip == "pip"
    low, high = re.fullmatch(r">=(\d+\.\d+),<(\d+\.\d+)", project["requires-python"]).groups()
    version = re.fullmatch(r"python=(\d+\.\d+)", python)[1]
    assert tuple(map(int, low.split("."))) <= tuple(map(int, version.split("."))) < tuple(map(int, high.split(".")))
    constraint, editable = packages["pip"]
    assert constraint == "--constraint constraints.txt"
    extras = re.fullmatch(r"--editable \.\[(.*)\]", editable)[1].split(",")
    assert set(extras) == set(project["optional-dependencies"]) - {"test"}
    makefile = (ROOT / "Makefile").read_text()
    assert f'--editable "{editable.removeprefix("--editable ")}"' in makefile


def test_every_dependency_has_a_tested_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {
        re.split("==", line)[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    }
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    for requirement in (requirement for group in groups for requirement in group):
        name = re.match(r"[A-Za-z0-9_.-]+", requirement)[0].lower().replace("_", "-")
        assert name in pinned, requirement
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text().splitlines()


def test_ruff_is_satisfied_notebooks_included():
    for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, str(ROOT)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def test_no_machine_path_no_data_and_no_pickle_in_the_repo():
    files = tracked()
    assert len(files) > 60
    for path in files:
        assert path.suffix not in {".h5ad", ".rda", ".vcc", ".pkl"}, path
        assert path.stat().st_size < 1_000_000, path
        if path.suffix in {".py", ".md", ".toml", ".yml", ".ipynb", ".txt", ".html"}:
            text = path.read_text()
            assert not re.search(r"/(root|work|home/(?!student\b))[a-z0-9]*/", text.replace("/home/student", "")), path
            if path.suffix == ".py" and "tests" not in path.parts:
                assert "pickle.load" not in text, path
                assert not re.search(r"torch\.load\((?![^)]*weights_only=True)", text), path


def test_the_readme_has_the_commands_that_ci_runs():
    readme = (ROOT / "README.md").read_text()
    for command in ("make demo", "make demo DATASET=papalexi", "make test"):
        assert command in readme
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    for picture in re.findall(r"!\[[^]]*\]\(([^)]*)\)", readme):
        assert (ROOT / picture).is_file()


def test_links_in_the_docs_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_test_that_a_promise_names_is_there():
    """As `file` or `file::test[case]`."""
    page = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`(test_\w+\.py)(?:::(test_\w+)(?:\[([^]]+)\])?)?`", page)
    assert len(named) == page.count("`test_") > 100
    for file, test, case in named:
        (path,) = (ROOT / "tests").rglob(file)
        text = path.read_text()
        assert not test or f"def {test}(" in text, f"{file} has no {test}"
        assert f'"{case}":' in text or not case, f"{test} has no case {case!r}"
