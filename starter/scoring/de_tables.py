"""Measured and predicted differential expression side by side, as a table for each prediction."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from starter.files import whole
from starter.schema import CONTEXT, PERTURBATION
from starter.scoring.screens.summary import Summary


def write_de_tables(sides: Mapping[str, tuple[Summary, Summary]], path: Path) -> None:
    """Write measured and predicted DE to Parquet, perturbation after perturbation.

    Parameters
    ----------
    sides
        Context to truth and prediction, of the same perturbations and genes.
    path
        Receives columns context, perturbation, gene and, for `measured` and `predicted` each, log2_fold_change, p_value
        and fdr (Benjamini-Hochberg), by the rule set's test against the control cells. NaN where a gene is not tested.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    with whole(path) as part:
        writer = None
        try:
            for context, (truth, prediction) in sides.items():
                for row, perturbation in enumerate(truth.perturbations):
                    table = pa.Table.from_pandas(_lines(context, str(perturbation), row, truth, prediction))
                    writer = writer or pyarrow.parquet.ParquetWriter(part, table.schema)
                    writer.write_table(table)
        finally:
            if writer:
                writer.close()


def _lines(context: str, perturbation: str, row: int, truth: Summary, prediction: Summary) -> pd.DataFrame:
    columns = {CONTEXT: context, PERTURBATION: perturbation, "gene": truth.genes.astype(str)}
    for side, of in (("measured", truth), ("predicted", prediction)):
        for what in ("log2_fold_change", "p_value", "fdr"):
            columns[f"{side}_{what}"] = getattr(of.de, what)[row].astype(float)
    return pd.DataFrame(columns)
