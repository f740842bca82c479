"""What a notebook needs of a course and of a machine, read from its code."""

import re
from collections.abc import Iterable

from nbformat import NotebookNode

from starter import schema

PRIOR = re.compile(r'(course\.priors|course\.has_prior)\("\*([\w.]+)"\)')
IMPORTED = re.compile(r"^from starter\.schema import (.+)$", re.MULTILINE)
COLUMNS = ("GUIDE", "BATCH", "N_UMIS", "PERCENT_MITO")
"""Columns of a screen that not every screen has, by their names in `starter.schema`."""
TORCH = re.compile(r"^\s*(?:import|from) torch\b", re.MULTILINE)


def needs_of(notebook: NotebookNode) -> str:
    """Say what a notebook needs: tables of what is known of genes, columns of the screen, torch."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    found = PRIOR.findall(code)
    perhaps = {name for call, name in found if call.endswith("has_prior")}
    needed = {name for _, name in found} - perhaps
    imported = {name.strip() for names in IMPORTED.findall(code) for name in names.split(",")}
    columns = [getattr(schema, name) for name in COLUMNS if name in imported]
    parts = [f"in `priors/` {_listed(sorted(needed))}"] if needed else []
    parts += [f"where there {'is' if len(perhaps) == 1 else 'are'} {_listed(sorted(perhaps))}"] if perhaps else []
    parts += [f"of the cells {_listed(columns)}"] if columns else []
    parts += ["torch"] if TORCH.search(code) else []
    return "; ".join(parts) or "the screen alone"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
