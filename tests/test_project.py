"""What holds the project together: one list of dependencies, clean code, documents that are true."""

import ast
import json
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
    assert set(extras) == set(project["optional-dependencies"]) - {"docs", "postgresql", "test"}
    made = dict(re.findall(r"(?m)^\$\(VENV\)/\.(\w+): EXTRAS := (.*)$", (ROOT / "Makefile").read_text()))
    assert made == {
        "demo": "instructor,data",
        "kit": ",".join(extras),
        "docs": ",".join([*extras, "docs"]),
        "test": ",".join([*extras, "docs", "test"]),
    }


def test_what_git_leaves_out_comes_into_no_image():
    """An image is built where a course may have been graded; its hidden truth must not be passed on with it."""
    kept_out, ignored = (
        {line.strip("/").removeprefix("**/") for line in (ROOT / name).read_text().splitlines() if line[0] != "#"}
        for name in (".dockerignore", ".gitignore")
    )
    assert {"grading", "data", ".venv"} <= ignored
    left = {name for name in ignored - kept_out if not name.endswith("_cache")}
    assert left == {".ipynb_checkpoints", "grades.csv", "student-kit.zip"}
    assert {".*_cache", "*.csv", "*.zip"} <= kept_out


def test_what_the_demo_needs_brings_no_torch():
    """The torch of PyPI weighs gigabytes on Linux; `test_fresh_machine.py` runs the demo without it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    of_demo = [*project["dependencies"], *extras["instructor"], *extras["data"]]
    assert any(requirement.startswith("torch>") for requirement in extras["student"])
    assert not [requirement for requirement in of_demo if "torch" in requirement or "scDataset" in requirement]


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


@pytest.mark.slow  # 40 s of a quiet core
def test_the_types_hold():
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--project", str(ROOT)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("package", ["starter", "autograder", "data_scripts"])
def test_the_packages_say_that_they_are_typed(package: str):
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert (ROOT / package / "py.typed").is_file()
    assert "py.typed" in settings["tool"]["setuptools"]["package-data"][package]
    assert package in settings["tool"]["pyright"]["include"]


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def test_an_installed_package_has_all_that_it_reads():
    """Files beside the code that `package-data` does not name are in a checkout and not in a wheel."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    named = {
        path
        for package, globs in declared.items()
        for glob in globs
        for path in (ROOT / package.replace(".", "/")).glob(glob)
    }
    beside = {
        path for path in tracked() if path.relative_to(ROOT).parts[0] in ("starter", "autograder", "data_scripts")
    }
    assert not {path for path in beside if path.suffix != ".py"} - named


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


PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "RESULTS.md",
    *(ROOT / "docs").glob("*.md"),
]
"""What is true of the kit as it is; the changelog tells how it was."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_in_the_docs_lead_somewhere(page: Path):
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", page.read_text()):
        path = page.parent / target if target else page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """Name the headings of a page as GitHub links them."""
    headings = re.findall(r"(?m)^#+ (.*)$", page.read_text())
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def holds(path: Path, name: str) -> bool:
    """Tell whether a module defines a name."""
    return bool(re.search(rf"(?m)^(?:(?:def|class) {name}\b|{name}\b[^\n]*=)", path.read_text()))


def is_there(name: str) -> bool:
    """Tell whether a dotted name is a module or package of the kit, or something that one defines."""
    path = ROOT / name.replace(".", "/")
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    module, _, attribute = name.rpartition(".")
    path = ROOT / module.replace(".", "/")
    return path.with_suffix(".py").is_file() and holds(path.with_suffix(".py"), attribute)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_the_docs_name_is_there(page: Path):
    """Modules, files and folders in backticks, names beside the file that defines them, and imports in examples."""
    text = page.read_text()
    named = re.findall(r"`((?:starter|autograder|data_scripts|benchmarks)\.[\w.]+)`", text)
    paths = re.findall(r"`((?:starter|autograder|data_scripts|benchmarks|tests|docs|solutions)/[^`\s]*)`", text)
    lost = [
        name for name in named if not is_there(name) and not (ROOT / name.replace(".", "/")).with_suffix("").exists()
    ]
    lost += [path for path in paths if not re.search(r"NN_|NAME|[<*]", path) and not (ROOT / path).exists()]
    lost += [
        f"{name} in {target}"
        for name, target in re.findall(r"`(\w+)` in \[[^]]+\]\(([^)]+\.py)\)", text)
        if not holds(page.parent / target, name)
    ]
    for block in re.findall(r"(?ms)^```python\n(.*?)^```$", text):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("starter", "autograder"):
                lost += [name for alias in node.names if not is_there(name := f"{node.module}.{alias.name}")]
    assert not lost


@pytest.mark.parametrize("name", ["starter.scoring", "starter.check", "starter.check.check", "autograder.folders.WORK"])
def test_a_name_is_found(name: str):
    assert is_there(name)


@pytest.mark.parametrize("name", ["starter.dataset", "starter.check.Close", "starter.scoring.metrics.pds"])
def test_a_lost_name_is_seen(name: str):
    assert not is_there(name)


def test_the_way_from_the_readme_is_short():
    """Five things that newcomers look for: their files are linked from the README itself."""
    readme = (ROOT / "README.md").read_text()
    for target, name in (
        ("starter/scoring/metrics/discrimination.py", "discrimination_score_l1"),
        ("autograder/sandbox/bubblewrap.py", "command_inside"),
        ("starter/prediction/vcc.py", "write_archive"),
    ):
        assert f"]({target})" in readme
        assert holds(ROOT / target, name)
    assert "](autograder/questions/)" in readme
    assert "](CONTRIBUTING.md#a-model)" in readme


def targets_of_make(command: str) -> set[str]:
    return {word for word in command.split()[1:] if "=" not in word}


def test_the_hooks_before_a_commit_can_run(tmp_path: Path):
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["repo"] == "local"  # so that a hook says what `make lint` says
    hooks = {hook["id"]: hook for hook in repo["hooks"]}
    assert set(hooks) == {"ruff-check", "ruff-format", "outputs-stripped", "assignments"}
    makefile = (ROOT / "Makefile").read_text()
    untidy = tmp_path / "untidy.py"
    untidy.write_text('"""Untidy."""\n\nimport os\nx = {  \'a\':1}\n')
    (notebook,) = (ROOT / "solutions" / "03_metrics").glob("*.ipynb")
    run = tmp_path / "run.ipynb"
    content = json.loads(notebook.read_text())
    cell = next(cell for cell in content["cells"] if cell["cell_type"] == "code")
    cell |= {"execution_count": 3, "outputs": [{"name": "stdout", "output_type": "stream", "text": ["seen"]}]}
    run.write_text(json.dumps(content))
    for hook in hooks.values():
        program, *arguments = hook["entry"].split()
        if program == "make":
            assert all(f"\n{target}:" in makefile for target in targets_of_make(hook["entry"]))
            continue
        assert program.startswith(".venv/bin/")
        file = run if "nbconvert" in arguments else untidy
        command = [Path(sys.executable).with_name(Path(program).name), *arguments, file]
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert untidy.read_text() == '"""Untidy."""\n\nx = {"a": 1}\n'
    assert run.read_text() == notebook.read_text()
    assert re.search(hooks["outputs-stripped"]["files"], f"solutions/03_metrics/{notebook.name}")
    for changed in (f"solutions/03_metrics/{notebook.name}", "autograder/questions/03_metrics/pds.py"):
        assert re.search(hooks["assignments"]["files"], changed)


def test_ci_runs_what_the_makefile_has_on_every_python_and_leaves_no_test_out():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    jobs = workflow["jobs"]
    assert set(jobs) == {"lint", "test", "test-full"}
    makefile = (ROOT / "Makefile").read_text()
    for name, job in jobs.items():
        setups = [step for step in job["steps"] if "setup-python" in step.get("uses", "")]
        assert [step["with"]["cache"] for step in setups] == ["pip"]
        made = [targets_of_make(step["run"]) for step in job["steps"] if step.get("run", "").startswith("make ")]
        assert made == [{name}]
        assert re.search(rf"(?m)^{name}\b[^=\n]*:", makefile)
    low, high = re.findall(
        r"3\.(\d+)", tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    )
    assert jobs["test"]["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in range(int(low), int(high))]
    parts = {path for part in jobs["test-full"]["strategy"]["matrix"]["part"] for path in part.split()}
    there = {path for path in (ROOT / "tests").iterdir() if path.match("test_*.py") or any(path.rglob("test_*.py"))}
    assert parts == {f"tests/{path.name}" for path in there}


def test_every_test_that_a_promise_names_is_there():
    """As `file` or `file::test[case]`."""
    page = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`(test_\w+\.py)(?:::(test_\w+)(?:\[([^]]+)\])?)?`", page)
    assert len(named) == page.count("`test_") > 100
    for file, test, case in named:
        text = "".join(path.read_text() for path in (ROOT / "tests").rglob(file))
        assert text, file
        assert not test or f"def {test}(" in text, f"{file} has no {test}"
        assert f'"{case}":' in text or not case, f"{test} has no case {case!r}"
