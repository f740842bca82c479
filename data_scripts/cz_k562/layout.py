"""The benchmark's tables as cz-benchmarks publishes them: in `uns` of the cells' file."""

from pathlib import Path

import pandas as pd

from data_scripts.cz_k562.de_tables import SMD
from starter.data.benchmark import CONDITION, CONTROL_MAP, CONTROL_MAP_COLUMNS, DE_COLUMNS, DE_TABLES, read_table


def published_uns(folder: Path) -> dict[str, object]:
    """Give the tables of a benchmark folder in the published layout.

    Returns
    -------
    `control_cells_map` (condition to treated barcode to control barcode), `control_cells_ids` (condition to control
    barcodes), `de_results_wilcoxon` and `de_results_t_test` (data frames).
    """
    pairs = read_table(folder, CONTROL_MAP, CONTROL_MAP_COLUMNS)
    of_condition = {str(name): rows for name, rows in pairs.groupby(CONDITION, sort=False, observed=True)}
    return {
        "control_cells_map": {
            name: dict(zip(rows["treated"], rows["control"], strict=True)) for name, rows in of_condition.items()
        },
        "control_cells_ids": {name: rows["control"].to_numpy(object) for name, rows in of_condition.items()},
        "de_results_wilcoxon": _table(folder, "wilcoxon", DE_COLUMNS),
        "de_results_t_test": _table(folder, "t_test", (*DE_COLUMNS, SMD)),
    }


def _table(folder: Path, test: str, columns: tuple[str, ...]) -> pd.DataFrame:
    table = read_table(folder, DE_TABLES[test], columns)
    table.index = table.index.astype(str)  # AnnData stores no other index
    return table
