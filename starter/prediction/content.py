"""What a prediction holds as it would be uploaded: labels and genes at once, values a block of cells at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import scipy.sparse

from starter.data.blocks import Cells
from starter.data.h5ad import check_matrix, name_of, open_h5ad, read_blocks, read_frame
from starter.data.preprocess import log_expression, stated_totals
from starter.data.scale import FRACTION
from starter.data.scan import as_uploaded, scan_cells
from starter.data.zarr_store import is_array, is_group
from starter.errors import Finding, InputError, counted, difference, listed
from starter.prediction.requirements import Requirements
from starter.schema import CONTROL, COURSE, TARGET_GENE

EXTRAS = ("layers", "obsm", "varm", "obsp", "varp", "raw")


@dataclass(frozen=True)
class Naming:
    """What a file calls the column of perturbations, and its control cells."""

    column: str = TARGET_GENE
    control: str = CONTROL

    def applied(self, obs: pd.DataFrame, name: str, *, controls: bool = False) -> pd.DataFrame:
        """Give a table of cells the kit's own names.

        Parameters
        ----------
        obs
            The table.
        name
            What to call the file in a message.
        controls
            Whether there must be control cells under the name that was given.

        Raises
        ------
        InputError
            If the column or the control cells that were named are not there.
        """
        if self.column != TARGET_GENE:
            if self.column not in obs:
                msg = (
                    f"obs of {name} has no column {self.column!r} (--pert-col); its columns are "
                    f"{listed(obs.columns) or 'none'}"
                )
                raise InputError(msg)
            obs = obs.drop(columns=TARGET_GENE, errors="ignore").rename(columns={self.column: TARGET_GENE})
        if self.control == CONTROL or TARGET_GENE not in obs:
            return obs
        labels = obs[TARGET_GENE].astype(object)
        control = labels == self.control
        if control.any() and (labels == CONTROL).any():
            msg = f"cells of {name} are labelled {self.control!r} (--ntc-name), and others {CONTROL!r}; keep one name"
            raise InputError(msg)
        if controls and not control.any():
            present = listed(sorted(labels.dropna().astype(str).unique())) or "none"
            msg = f"no cell of {name} is labelled {self.control!r} (--ntc-name); its labels are {present}"
            raise InputError(msg)
        return obs.assign(**{TARGET_GENE: labels.mask(control, CONTROL)})


@dataclass(frozen=True)
class Content:
    """What a prediction holds."""

    obs: pd.DataFrame
    """Of each cell, under the kit's own names."""
    var: pd.DataFrame
    """What describes the genes; its index names them."""
    cells: Cells
    """Stored values as float32, sorted; an entry that is stored in pieces stays so. Valid while the file is open."""
    stored: int
    """Values that are stored, or at most are other than 0."""
    fault: Finding | None
    """Why `cells` cannot be read, if so."""
    left_out: list[str]
    """What else the file holds, and an upload does not."""

    @property
    def genes(self) -> pd.Index:
        """Names of the genes."""
        return self.var.index.astype(str)


def content_of(file: h5py.File, naming: Naming, *, controls: bool = False) -> Content:
    """Take what an open `.h5ad` or Zarr store holds; `naming` and `controls` as `Naming.applied` takes them.

    Raises
    ------
    InputError
        If its tables cannot be read, or lack what was named.
    """
    obs, var = read_frame(file, "obs"), read_frame(file, "var")
    other = [f"obs.{TARGET_GENE}"] if naming.column != TARGET_GENE and TARGET_GENE in obs else []
    obs = naming.applied(obs, name_of(file), controls=controls)
    left_out = [*other, *(f"var.{column}" for column in var.columns)]
    left_out += [key for key in EXTRAS if is_group(part := file.get(key)) and list(part)]
    x = file["X"]
    shape = (len(obs), len(var))
    fault = check_matrix(x, shape)
    stored = 0 if fault else x["data"].size if is_group(x) else x.size
    cells = Cells(shape, lambda keep: read_blocks(x, keep=keep)).mapped(as_uploaded)
    return Content(obs, var, cells, stored, fault, left_out)


@contextmanager
def with_controls(
    content: Content, path: str | Path, naming: Naming, required: Requirements | None
) -> Iterator[tuple[Content, list[Finding]]]:
    """Add control cells from another file behind a prediction's own cells.

    Parameters
    ----------
    content
        The prediction, without control cells.
    path
        The `.h5ad` with the control cells, counts or log1p expression; its other cells are left out.
    naming
        What the prediction calls the column and the controls; the controls' file may use the kit's own names.
    required
        What the prediction must hold, if known: the target_sum of its course.

    Yields
    ------
    Both together, to be used within the block, and what was done to the controls. Beside logs, counts become
    log1p(target_sum x count / n_umis).

    Raises
    ------
    InputError
        If there are no control cells, the genes differ, or the values do not fit together.
    """
    labelled = content.obs.get(TARGET_GENE)
    if labelled is not None and (n_own := int((labelled.astype(object) == CONTROL).sum())):
        msg = f"the prediction has {counted(n_own, 'control cell')} of its own; leave out --controls, or these cells"
        raise InputError(msg)
    if content.fault:
        yield content, []
        return
    with open_h5ad(path) as file:
        obs = read_frame(file, "obs")
        column = naming.column if naming.column in obs else TARGET_GENE
        added = content_of(file, Naming(column))
        if added.fault:
            msg = f"{path}: {added.fault}"
            raise InputError(msg)
        labels = added.obs.get(TARGET_GENE, pd.Series(dtype=object)).astype(object)
        keep = labels.isin([CONTROL, naming.control]).to_numpy(bool)
        if not keep.any():
            msg = f"no cell of {path} is labelled {naming.control!r} in obs.{column}; name a file with controls"
            raise InputError(msg)
        if what := difference(content.genes, added.genes):
            msg = f"the genes of {path} are not the prediction's: {what}; give controls of the same genes"
            raise InputError(msg)
        if not added.genes.is_unique or not content.genes.is_unique:
            msg = f"genes of {path} occur twice; each gene is one column"
            raise InputError(msg)
        scan = scan_cells(added.cells, keep)
        logs = has_fractions(content.cells)
        if not logs and scan.fractional:
            msg = (
                f"the prediction holds counts, and {path} log1p expression; give counts of the control cells, or write "
                "log1p expression of both"
            )
            raise InputError(msg)
        notes = [Finding("note", f"control cells added from {Path(path).name}: {int(keep.sum()):,}")]
        target, sizes = None, np.zeros(0)
        if logs and not scan.fractional:
            stated = stated_totals(added.obs[keep])
            sizes = scan.totals.copy()
            if stated is not None:
                sizes[keep] = stated
            target = _target_sum(file, required) or float(np.median(sizes[keep]))
            of = "the total of its counts" if stated is None else "its n_umis"
            notes.append(
                Finding("note", f"they were counts, and became log1p({target:,.0f} x count / n), n being {of}")
            )
        order = added.genes.get_indexer(content.genes)

        def controls() -> Iterator[scipy.sparse.csr_matrix]:
            start = 0
            for block in added.cells.read(keep):
                chosen = np.flatnonzero(keep[start : start + block.shape[0]])
                if len(chosen):
                    kept = block[chosen][:, order]
                    kept.sort_indices()
                    yield kept if target is None else log_expression(kept, sizes[start + chosen], target)
                start += block.shape[0]

        n_own, n_added = content.cells.shape[0], int(keep.sum())
        both = Cells(
            (n_own + n_added, len(content.genes)),
            lambda chosen: chain(content.cells.read(chosen[:n_own]), controls()),
        )
        own = content.obs.assign(**{TARGET_GENE: labelled.astype(object)}) if labelled is not None else content.obs
        obs = pd.concat([own, pd.DataFrame({TARGET_GENE: [CONTROL] * n_added})], ignore_index=True)
        left_out = list(dict.fromkeys(content.left_out))
        yield Content(obs, content.var, both, content.stored + scan.n_stored, None, left_out), notes


def has_fractions(cells: Cells) -> bool:
    """Tell whether a value is no whole number, by cell-eval's rule; what follows the first such value is not read."""
    blocks = cells.read(np.ones(cells.shape[0], bool))
    return any((np.abs(block.data - np.trunc(block.data)) > FRACTION).any() for block in blocks)


def _target_sum(file: h5py.File, required: Requirements | None) -> float | None:
    """Give the UMIs to which a course scales cells, as far as it is said anywhere."""
    if required is not None and required.target_sum:
        return required.target_sum
    stated = file.get(f"uns/{COURSE}/target_sum")
    value = stated[()] if is_array(stated) and stated.shape == () else None
    return float(value) if isinstance(value, np.number) and value > 0 else None
