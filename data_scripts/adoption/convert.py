"""A screen in anybody's layout becomes a course data set, in row blocks, with a report of what became of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

from data_scripts.adoption.cells import check_columns, choose_cells, describe_cells, n_umis, text_of, totals_of
from data_scripts.adoption.counts import find_matrix, read_counts, read_kept, refuse_faults, values_at_most
from data_scripts.adoption.genes import Genes, harmonise_genes, names_at_hand
from data_scripts.adoption.labels import read_labels
from data_scripts.adoption.layout import Layout
from data_scripts.adoption.logs import cells_without_counts, find_units
from data_scripts.adoption.report import Report
from data_scripts.catalogue import DataSet
from data_scripts.lineage import write_lineage
from starter.data.dataset import write_screen
from starter.data.h5ad import open_h5ad, read_frame
from starter.data.rules import MAX_UMIS, check_description, unusable_totals
from starter.data.targets import are_ensembl, measured_targets
from starter.errors import FindingsError, InputError, counted, listed
from starter.schema import CONTEXT, CONTROL, COURSE, COURSE_KEYS, ENSEMBL_ID, N_UMIS, PERTURBATION_KIND, TARGET_GENE

NOT_STATED = "not stated"
LEVEL = 1
"""Of gzip: a third faster than the usual level 4, and a file of counts is 8 % larger."""


def convert(
    path: str | Path,
    layout: Layout,
    out: str | Path,
    about: Mapping[str, object],
    data_sets: Iterable[DataSet] = (),
    downloads: str | Path = "downloads",
) -> Report:
    """Write a course data set of a screen, beside it `<out>.lineage.json` and `<name>.report.json`.

    Every cell is written or counted in the report with the reason; nothing is guessed beyond the layout. The file is
    read and written in blocks of cells.

    Parameters
    ----------
    path
        An `.h5ad` of any version of AnnData, or a Zarr store.
    layout
        Where its parts are.
    out
        The `.h5ad` to write.
    about
        What the screen is: those of `COURSE_KEYS` that are known. By default `name` is that of `out`, `simulated` is
        false, and texts are "not stated".
    data_sets
        The catalogue's entries that the file belongs to, for the lineage.
    downloads
        Where tables of gene names are looked for, beside `VCC_DATA`.

    Returns
    -------
    What became of it.

    Raises
    ------
    InputError
        If the layout does not fit the file, a value of a cell that is taken is no count, no cell is left, or what came
        out is no course data set; nothing is written then.
    """
    path, out = Path(path), Path(out)
    if out.resolve() == path.resolve():
        msg = f"{out} is the file that is read; give the new one another name"
        raise InputError(msg)
    names, tables = names_at_hand(downloads)
    with open_h5ad(path) as file:
        obs = read_frame(file, "obs")
        report = Report(source=path.name, cells_there=len(obs))
        check_columns(obs, layout)
        x, var = find_matrix(file, layout.counts, len(obs))
        genes = harmonise_genes(var, layout, names)
        meanings = read_labels(text_of(obs[layout.target]).unique(), layout, genes)
        keep = choose_cells(obs, layout, meanings, report)
        stated = totals_of(obs, layout.n_umis)
        units = None
        if layout.logs:
            logs = _without_faults(read_kept(x, keep, "undo logs"), obs.index, genes)
            units = find_units(logs, len(obs), stated)
            lost = cells_without_counts(units, keep, with_totals=stated is not None)
            report.drop("whose counts cannot be told from their logs", int(lost.sum()))
            keep &= ~lost
        if not keep.any():
            left = "; ".join(f"{n:,} {why}" for why, n in report.dropped.items())
            msg = f"{path}: no cell is left ({left or 'it has none'}); keep other cells"
            raise InputError(msg)
        table = describe_cells(obs[keep], layout, meanings, report)
        course = _course(about, out.stem, layout)
        _check(path, table, genes, course)
        described = pd.DataFrame({} if genes.ensembl is None else {ENSEMBL_ID: genes.ensembl}, index=genes.symbols)
        row_sums = np.zeros(len(obs))

        def blocks() -> Iterator[scipy.sparse.csr_matrix]:
            for here, block in read_counts(x, keep, obs.index, genes.symbols, units):
                row_sums[here] = np.asarray(block.sum(axis=1, dtype=np.float64)).ravel()
                yield block[row_sums[here] > 0]

        def cells() -> pd.DataFrame:
            return _complete(table, row_sums[keep], None if stated is None else stated[keep], layout, report, course)

        stored = values_at_most(x, int(keep.sum()))
        write_screen(out, blocks(), cells, described, lambda: course, compression=LEVEL, stored=stored)
    report.genes = len(genes.symbols)
    if layout.kind == "gene":
        report.unmeasured_targets = list(measured_targets(table[TARGET_GENE].cat.categories, genes.symbols).missing)
    report.renamed_genes, report.unresolved_genes = dict(genes.renamed), list(genes.unresolved)
    write_lineage(out, [path, *tables], data_sets, {"layout": asdict(layout), **course}, __file__)
    report.write(out.with_suffix(".report.json"))
    return report


def _without_faults(
    blocks: Iterator[tuple[np.ndarray, scipy.sparse.csr_matrix]], cells: pd.Index, genes: Genes
) -> Iterator[tuple[np.ndarray, scipy.sparse.csr_matrix]]:
    for here, block in blocks:
        refuse_faults(block, cells[here], genes.symbols)
        yield here, block


def _course(about: Mapping[str, object], name: str, layout: Layout) -> dict[str, object]:
    """Describe the screen, but for its target_sum."""
    if unknown := set(about) - set(COURSE_KEYS):
        msg = f"the description has the keys {sorted(unknown)}, which a course data set has not"
        raise AssertionError(msg)
    texts = dict.fromkeys(("organism", "licence", "source", "citation"), NOT_STATED)
    course: dict[str, object] = {"name": name, "title": name, **texts, "simulated": False, "target_sum": 1.0, **about}
    return course | ({PERTURBATION_KIND: "compound"} if layout.kind == "compound" else {})


def _check(path: Path, table: pd.DataFrame, genes: Genes, course: dict[str, object]) -> None:
    """Refuse, before any count is read, what would be no course data set."""
    there = table[TARGET_GENE].cat.categories
    if CONTROL not in there:
        msg = f"{path}: no cell that is taken is a control; name the label of the controls, one of {listed(there)}"
        raise InputError(msg)
    if len(there) == 1:
        msg = f"{path}: all cells that are taken are controls; name the column that holds the perturbations"
        raise InputError(msg)
    described = anndata.AnnData(obs=table, var=pd.DataFrame(index=genes.symbols), uns={COURSE: course})
    if are_ensembl(genes.symbols):
        ids = listed(list(genes.symbols[:3]))
        msg = f"{path}: no symbols of its genes are known, only ids such as {ids}; name the column of symbols"
        raise InputError(msg)
    findings = check_description(described)
    if any(finding.level == "error" for finding in findings):
        what = f"{path}, read by this layout,"
        raise FindingsError(what, findings)


def _complete(
    table: pd.DataFrame,
    row_sums: np.ndarray,
    stated: np.ndarray | None,
    layout: Layout,
    report: Report,
    course: dict[str, object],
) -> pd.DataFrame:
    """Leave out empty cells, add each cell's total, and take the target_sum from the controls."""
    filled = row_sums > 0
    report.drop("without any count", int((~filled).sum()))
    table = table[filled].copy()
    for column in table.select_dtypes("category"):
        table[column] = table[column].cat.remove_unused_categories()
    table[N_UMIS] = n_umis(None if stated is None else stated[filled], row_sums[filled], layout, report)
    if odd := unusable_totals(table[N_UMIS]):
        msg = f"{report.source}: {counted(odd, 'cell')} of {MAX_UMIS:,.0f} UMIs or more, so these are no UMI counts"
        raise InputError(msg)
    is_control = (table[TARGET_GENE] == CONTROL).to_numpy()
    if not is_control.any():
        msg = f"{report.source}: no control cell has a count"
        raise InputError(msg)
    course["target_sum"] = report.target_sum = float(table.loc[is_control, N_UMIS].median())
    report.cells, report.controls = len(table), int(is_control.sum())
    report.perturbations = len(table[TARGET_GENE].cat.categories) - 1
    if CONTEXT in table:
        report.contexts = [str(name) for name in table[CONTEXT].cat.categories]
        if without := sorted(set(report.contexts) - set(table.loc[is_control, CONTEXT])):
            report.notes.append(f"no controls in {listed(without)}, so that nothing can be scored there")
    report.target_sum = course["target_sum"]
    return table
