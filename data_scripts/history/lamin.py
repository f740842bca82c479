"""A lineage in a LaminDB instance: files as artifacts, builders as transforms, each making as a run with its inputs.

LaminDB is optional. It registers a file only where it reaches hub.lamin.ai, with an instance of this machine too.
"""

import importlib
from pathlib import Path
from typing import Any

from data_scripts.history.ancestors import Made, State, read_output
from data_scripts.lineage import find_place
from starter.errors import InputError

TESTED = "2.12.1"
"""The version of lamindb that this was tried with."""


def register(output: str | Path) -> tuple[int, list[str]]:
    """Register a file and all that it was made of in the connected instance.

    LaminDB copies files that do not lie in its storage into it.

    Parameters
    ----------
    output
        The file, with its lineage beside it.

    Returns
    -------
    How many files were registered, and the names of those that are missing or changed, and were left out.

    Raises
    ------
    InputError
        If lamindb is not installed, connected, or does not reach its hub; nothing is registered then.
    """
    output = Path(output)
    made = read_output(output)
    lamin = _connected()
    registered: dict[str, Any] = {}
    left_out: list[str] = []

    def save(one: Made, path: Path) -> Any:
        if one.sha256 in registered:
            return registered[one.sha256]
        parents = [save(parent, _path_of(parent, one, path.parent)) for parent in one.parents]
        if one.state is not State.same:
            left_out.append(one.name)
            return None
        run = _run(lamin, one) if one.lineage else False
        source = f", from {one.urls[0]}" if one.urls else ""
        artifact = lamin.Artifact(str(path), key=one.name, description=f"{one.name}{source}", run=run).save()
        if run:
            run.input_artifacts.add(*(parent for parent in parents if parent is not None))
        registered[one.sha256] = artifact
        return artifact

    save(made, output)
    return len(registered), left_out


def _connected() -> Any:
    """Import lamindb, and make sure that it can register files."""
    try:
        lamin = importlib.import_module("lamindb")
    except ImportError as error:
        msg = (
            f"lamindb is not installed here; pip install lamindb=={TESTED} (some 120 packages), then: lamin init "
            "--storage FOLDER, or lamin connect"
        )
        raise InputError(msg) from error
    try:
        _ = importlib.import_module("lamindb_setup").settings.instance.is_on_hub
    except Exception as error:  # whatever a foreign library makes of a network that is not there
        msg = (
            f"LaminDB asks hub.lamin.ai before it registers a file, and that failed ({type(error).__name__}: {error}); "
            "nothing was registered: connect to an instance (lamin connect) on a machine with a network"
        )
        raise InputError(msg) from error
    return lamin


def _path_of(parent: Made, child: Made, folder: Path) -> Path:
    inputs = child.lineage["inputs"] if child.lineage else ()
    described = next(each for each in inputs if each["sha256"] == parent.sha256)
    return find_place(described.get("path", parent.name), folder)


def _run(lamin: Any, one: Made) -> Any:
    lineage = one.lineage or {}
    code = lineage["code"]
    transform = lamin.Transform(
        key=f"data_scripts/{code['name']}",
        kind="pipeline",
        description=f"{code.get('version', '')}, SHA-256 {code['sha256'][:12]}",
        reference=code.get("commit"),
        reference_type="git commit" if "commit" in code else None,
    ).save()
    run = lamin.Run(transform, params=dict(lineage["parameters"]) or None, name=f"{one.name}, made {lineage['made']}")
    return run.save()
