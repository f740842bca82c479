"""`meta.json` of a 2026 upload: the prediction's shape, and the list that it was checked against."""

import json
from collections.abc import Sequence

from starter.errors import Finding
from starter.prediction.requirements import Requirements

SCHEMA = 1
CLI_VERSION = "0.3.0"
"""The vcc-cli whose format this is, since that is what a reader compares."""
MAX_BYTES = 64 << 10
"""vcc-cli reads no larger one."""


def make_meta(n_cells: int, n_genes: int, stored: int, contexts: Sequence[str], required: Requirements | None) -> bytes:
    """Describe a prediction.

    Parameters
    ----------
    n_cells, n_genes, stored
        Its shape and the values that it stores.
    contexts
        The contexts that it holds.
    required
        What it was checked against, if anything.
    """
    meta = {
        "schema": SCHEMA,
        "nnz": stored,
        "n_obs": n_cells,
        "n_vars": n_genes,
        "cli_version": CLI_VERSION,
        "contexts": list(contexts),
        **_list_of(required),
    }
    return json.dumps(meta, sort_keys=True).encode()


def check_meta(
    content: bytes, n_cells: int, n_genes: int, stored: int, contexts: Sequence[str], required: Requirements | None
) -> list[Finding]:
    """Compare what an upload says of itself with what it holds, and with the list at hand.

    Parameters
    ----------
    content
        The file `meta.json`.
    n_cells, n_genes, stored, contexts, required
        As `make_meta` takes them.
    """
    again = "pack it again with: starter pack --season 2026"
    try:
        meta = json.loads(content[: MAX_BYTES + 1])
    except (ValueError, RecursionError) as error:
        return [Finding("error", f"meta.json cannot be read ({error})", again)]
    if not isinstance(meta, dict) or meta.get("schema") != SCHEMA:
        stated = meta.get("schema") if isinstance(meta, dict) else None
        return [Finding("error", f"meta.json is not of schema {SCHEMA} (it states {stated!r})", again)]
    findings = []
    true = {"n_obs": n_cells, "n_vars": n_genes, "nnz": stored, "contexts": sorted(contexts)}
    said = {**meta, "contexts": sorted(map(str, meta["contexts"])) if isinstance(meta.get("contexts"), list) else None}
    wrong = [f"{key} {said.get(key)!r} for {value!r}" for key, value in true.items() if said.get(key) != value]
    if wrong:
        what = f"meta.json does not describe this prediction: {', '.join(wrong)}"
        findings.append(Finding("error", what, again))
    other = [key for key, value in _list_of(required).items() if key in meta and meta[key] != value]
    if other:
        what = f"it was packed with another list of perturbations ({', '.join(other)} of meta.json)"
        findings.append(Finding("warning", what, "see whether the lists are those of this phase"))
    return findings


def _list_of(required: Requirements | None) -> dict[str, str]:
    """Give what names the list, as far as it is known."""
    if required is None:
        return {}
    names = {"perts_fingerprint": required.fingerprint, "panel_id": required.panel_id}
    return {key: value for key, value in names.items() if value is not None}
