"""`make demo` where nothing is but Debian and what the README says to install: in a root that debootstrap makes."""

import ast
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_demo import in_readme

from autograder.sandbox.ready import NoSandboxError, check_sandbox

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
PYTHON_OF = {"bookworm": "3.11", "trixie": "3.13"}
KIT = Path("root", "virtual-cell")
"""The project's folder in the root."""
ENTER = """
set -e
cd "$0"
mount --bind . . && cd "$0"  # a root is a mount
mount --types proc proc proc
mount --rbind /dev dev
pivot_root . mnt
umount --lazy /mnt
exec "$@"
"""
"""Makes a folder the root, in a mount namespace that ends with the command; below a chroot no sandbox can be made."""
REACH = ("index-url", "proxy", "trusted-host", "timeout")
"""Settings by which pip reaches its index."""


@pytest.fixture(scope="module")
def mirror() -> str:
    """The address from which this machine's apt has Debian."""
    if os.geteuid() != 0:
        pytest.skip("only root can make the root of a machine")
    for program in ("apt-get", "debootstrap", "unshare"):
        if not shutil.which(program):
            pytest.skip(f"there is no {program}: apt install debootstrap")
    try:
        check_sandbox()
    except NoSandboxError as error:
        pytest.skip(f"the demo grades in that root: {error}")
    targets = output("apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages")
    if not (found := re.search(r"(?m)^Debian (.*?)/?$", targets)):
        pytest.skip("apt knows no mirror of Debian here, or has not asked it yet: apt-get update")
    return found[1]


@pytest.fixture(params=PYTHON_OF)
def machine(request: pytest.FixtureRequest, mirror: str, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A release of Debian, and a root that has the least of it and the kit."""
    release, root = request.param, tmp_path / "root"
    try:
        urllib.request.urlopen(f"{mirror}/dists/{release}/Release", timeout=30).close()
    except OSError as error:
        pytest.skip(f"the mirror of Debian does not answer: {error}")
    try:
        output("unshare", "--mount", "debootstrap", "--variant=minbase", release, str(root), mirror)
        for name in output("git", "-C", str(ROOT), "ls-files").split():
            if (ROOT / name).is_file():
                (root / KIT / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, root / KIT / name)
        yield release, root
    finally:
        shutil.rmtree(root)


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def inside(root: Path, *command: str) -> str:
    """Run a command in the root; apt and pip reach their sources as they do on this machine."""
    (root / "etc/apt/apt.conf.d/reach").write_text(output("apt-config", "dump", "Acquire"))
    settings = {}
    for line in output(sys.executable, "-m", "pip", "config", "list").splitlines():
        name, value = line.split("=", 1)
        settings[name.rpartition(".")[2]] = ast.literal_eval(value)
    environment = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    environment |= {f"PIP_{name.upper().replace('-', '_')}": settings[name] for name in REACH if name in settings}
    if "cert" in settings:
        shutil.copy(settings["cert"], root / "certificates.pem")
        environment["PIP_CERT"] = "/certificates.pem"
    environment |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
    enter = ["unshare", "--mount", "sh", "-c", ENTER, str(root), *command]
    done = subprocess.run(enter, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_demo_runs_on_a_bare_debian(machine: tuple[str, Path]):
    release, root = machine
    readme = (ROOT / "README.md").read_text()
    inside(root, "apt-get", "install", "--yes", *re.search(r"`apt install ([^`]*)`", readme)[1].split())
    printed = inside(root, "make", "--directory", f"/{KIT}", "demo")
    overall = re.search(r"(?m)^ overall +(\S+) +(\S+) +(\S+) ", printed)
    assert float(overall[1]) == -0.620
    for number, name in ((2, "train_mean"), (3, "neighbour_mean")):
        assert float(overall[number]) == in_readme(name, "`make demo` |")
    points = {
        (student, question): float(got)
        for question, student, got in re.findall(r"(?m)^ (\w+), (\w+) +([\d.]+) of \d", printed)
    }
    total, blanks, prediction = re.search(
        r"([\d.]+) of 25 points for the solved notebook 04 \((\d+) for its blanks, ([\d.]+) for a prediction by",
        readme,
    ).groups()
    assert points["solved", "prediction"] == float(prediction)
    of_student = {student: sum(got for (who, _), got in points.items() if who == student) for student, _ in points}
    assert of_student == {"solved": pytest.approx(float(total)), "untouched": 0}
    assert float(total) == pytest.approx(float(blanks) + float(prediction))
    (installed,) = (root / KIT / ".venv" / "lib").glob("python*/site-packages")
    assert installed.parent.name == f"python{PYTHON_OF[release]}"
    names = [path.name for path in installed.iterdir()]
    assert "nbgrader" in names
    assert not [name for name in names if re.match("torch|nvidia|triton", name)]
