"""Name the tests of what a change touches: `python tests/touched.py [room]`, which `make test-quick` runs.

Of a module: the test file that mirrors it, and those of the same room that import it; if there is none, those of the
modules that import it. Of a test file: itself. Of a
room (`starter/scoring`): all of its tests. What ties everything together (imports, docs, lint) is always among them.
"""

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
ALWAYS = ("tests/test_project.py", "tests/test_imports.py")


def changed() -> list[str]:
    """List the files that differ from the last commit, new ones too; on a clean tree, those of the last commit."""
    now = _git("diff", "--name-only", "HEAD") + _git("ls-files", "--others", "--exclude-standard")
    return now or _git("diff", "--name-only", "HEAD~1", "HEAD")


def covering(files: Iterable[str]) -> list[str]:
    """Give the test files of some files of the project, sorted, as paths from its root."""
    found = {name for name in ALWAYS if (ROOT / name).is_file()}
    for file in map(Path, files):
        if file.parts[0] == "tests":
            found |= {str(file)} if file.name.startswith("test_") and (ROOT / file).is_file() else set()
        elif file.suffix == ".py":
            found |= _tests_of_module(file)
    return sorted(found)


def _tests_of_module(file: Path) -> set[str]:
    room = Path("tests") / file.parent
    while not (ROOT / room).is_dir():
        room = room.parent
    mirror = set((ROOT / room).rglob(f"test_{file.stem}.py"))
    found = {path for path in mirror | _importing(file, ROOT / room) if path.name.startswith("test_")}
    if not found:  # nobody tests it alone
        users = (path.relative_to(ROOT) for path in _importing(file, ROOT / file.parts[0]))
        return {
            test
            for user in users
            if user.name != "cli.py" and user.parent.name != "commands"
            for test in _tests_of_module(user)
        }
    return {str(path.relative_to(ROOT)) for path in found}


def _importing(file: Path, folder: Path) -> set[Path]:
    *package, name = file.with_suffix("").parts
    module = re.compile(
        rf"from {re.escape('.'.join(package))} import .*\b{name}\b|\b{re.escape('.'.join(package))}\.{name}\b"
    )
    return {path for path in folder.rglob("*.py") if module.search(path.read_text(encoding="utf-8"))}


def _git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


if __name__ == "__main__":
    room = sys.argv[1] if len(sys.argv) > 1 else ""
    if room and not (ROOT / "tests" / room).is_dir():
        sys.exit(f"tests/ has no room {room}; name one, such as starter/scoring")
    print(*([f"tests/{room}"] if room else covering(changed())))
