"""Runs INSIDE the sandbox: opens a large notebook and sends it without its output, which may be most of it."""

import json
import os
from pathlib import Path

NOTEBOOK = Path("/notebook/file")


def main() -> None:
    """Send the notebook without output, or the name of what is wrong with it."""
    from frames import write_frame  # beside this file, inside

    with os.fdopen(os.dup(1), "wb") as channel:
        write_frame(channel, "start", b"")
        try:
            notebook = json.loads(NOTEBOOK.read_bytes())
            for cell in notebook["cells"]:
                cell.pop("outputs", None)
            slim = json.dumps(notebook).encode()
        except MemoryError:
            write_frame(channel, "large", b"")
        except Exception as error:  # noqa: BLE001  (whatever is in somebody's file)
            write_frame(channel, "damaged", type(error).__name__.encode())
        else:
            write_frame(channel, "notebook", slim)


if __name__ == "__main__":
    main()
