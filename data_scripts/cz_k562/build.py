"""From the author's raw file to the benchmark's folder."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import scipy.sparse

from data_scripts.catalogue import entries_of
from data_scripts.cz_k562 import controls, de_tables
from data_scripts.cz_k562.author_file import Tables, count_blocks, measure, read_rows, read_tables
from data_scripts.cz_k562.layout import published_uns
from data_scripts.lineage import write_lineage
from starter.data.benchmark import CELLS, CONDITION, CONTROL_MAP, DE_TABLES
from starter.data.h5ad import open_h5ad
from starter.data.write import write_h5ad
from starter.errors import InputError
from starter.files import whole
from starter.progress import bar
from starter.schema import CONTROL


def build(source: str | Path, folder: str | Path, *, uns: bool = False) -> Path:
    """Build the benchmark.

    Parameters
    ----------
    source
        `K562_essential_raw_singlecell_01.h5ad`, as the authors published it.
    folder
        Receives `k562_essential.h5ad` (raw counts, CSR), `control_map.parquet`, `de_wilcoxon.parquet` and
        `de_t_test.parquet`.
    uns
        Put the tables into `uns` of the `.h5ad` too, as cz-benchmarks' own file has them.

    Returns
    -------
    The path of the `.h5ad`.

    Raises
    ------
    InputError
        If the file is not of the author's layout, holds no raw counts, or no condition has a matched control.
    """
    source, folder = Path(source), Path(folder)
    with open_h5ad(source) as file:
        tables, x = read_tables(file), file["X"]
        totals = measure(x, tables)
        obs = tables.obs.assign(**{name: totals.of_cells[name] for name in totals.of_cells})
        pairs = controls.control_map(obs)
        if pairs.empty:
            msg = f"{source}: no condition of {controls.FEWEST_CELLS} cells or more has a control in its GEM groups"
            raise InputError(msg)
        with whole(folder / CONTROL_MAP) as part:
            pairs.to_parquet(part, index=False)
        de_tables.write_de_tables(folder, _tested(x, tables, totals.controls, pairs))
        path = folder / CELLS
        blocks = count_blocks(x, tables.rows, "writing cells")
        write_h5ad(path, blocks, obs, tables.var, published_uns(folder) if uns else {}, "gzip", int(x.size))
    parameters = {
        "uns": uns,
        "fewest_cells_matched": controls.FEWEST_CELLS,
        "fewest_cells_tested": de_tables.MIN_CELLS_OF_CONDITION,
        "min_genes_of_cell": de_tables.MIN_GENES_OF_CELL,
        "min_cells_of_gene": de_tables.MIN_CELLS_OF_GENE,
        "target_sum": de_tables.TARGET_SUM,
    }
    for name in (CONTROL_MAP, *DE_TABLES.values(), CELLS):
        write_lineage(folder / name, [source], entries_of([source]), parameters, __file__)
    return path


def _tested(
    x: h5py.Dataset, tables: Tables, control_cells: scipy.sparse.csr_matrix, pairs: pd.DataFrame
) -> Iterator[tuple[str, dict[str, pd.DataFrame]]]:
    """Test every condition that has enough cells: all its cells against the matched controls."""
    obs = tables.obs
    cells_of = obs.groupby(CONDITION, observed=True).indices
    place = np.cumsum((obs[CONDITION] == CONTROL).to_numpy()) - 1  # of each control cell among the controls
    controls_of = pairs.groupby(CONDITION)["control"]
    wanted = [name for name in pairs[CONDITION].unique() if len(cells_of[name]) >= de_tables.MIN_CELLS_OF_CONDITION]
    with bar("testing conditions", len(wanted)) as advance:
        for name in wanted:
            treated = read_rows(x, tables.rows[cells_of[name]])
            matched = control_cells[place[obs.index.get_indexer(controls_of.get_group(name))]].toarray()
            yield str(name), de_tables.compare(treated, matched, tables.var.index)
            advance()
