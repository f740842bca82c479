"""Gene names harmonised: one unique symbol a gene, Ensembl ids beside them, old symbols and today's told to be one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from data_scripts.adoption.layout import INDEX, Layout
from data_scripts.catalogue import data_set
from data_scripts.download import at_hand
from data_scripts.priors import hgnc
from data_scripts.priors.gene_symbols import GeneSymbols
from starter.data.targets import ENSEMBL, without_version
from starter.errors import InputError, listed

NO_PAIRS = pd.DataFrame({"gene_name": [], "ensembl_id": []}, dtype=str)
NO_NAMES = GeneSymbols(NO_PAIRS, (), ())
"""Where no table of names is at hand: a gene is called as the file calls it."""


@dataclass(frozen=True)
class Genes:
    """The genes of a file, by their new names."""

    symbols: np.ndarray
    """Unique, in the order of the file."""
    ensembl: np.ndarray | None
    """Ensembl ids without version, empty where unknown; None if the file has none."""
    renamed: Mapping[str, str]
    """What the file calls a gene, where that is neither its new name nor its id."""
    unresolved: tuple[str, ...]
    """Ensembl ids of which no symbol is known; they stay the gene's name."""
    by_name: Mapping[str, str]
    """Symbols, ids and other names of the file's genes, each to the gene's new name."""
    names: GeneSymbols
    """Old and new names of all genes, as far as they are known."""

    def measured(self, name: str) -> str | None:
        """Give the measured gene of a name: a symbol, an old symbol, an Ensembl id; None if it is not measured."""
        name = without_version(name)
        return self.by_name.get(name) or self.by_name.get(self.names.one(name) or "")

    def is_known(self, name: str) -> bool:
        """Tell whether something is the name of a gene, measured or not."""
        return self.measured(name) is not None or self.names.is_known(name)

    def symbol_of(self, identifier: str) -> str | None:
        """Give the symbol of an Ensembl id, None if it is not known."""
        return self.measured(identifier) or self.names.of_id(without_version(identifier))


def names_at_hand(downloads: str | Path) -> tuple[GeneSymbols, list[Path]]:
    """Read the tables of old and new gene names that need no download.

    Parameters
    ----------
    downloads
        The folder of downloads; the one named by `VCC_DATA` is looked through too.

    Returns
    -------
    The names, and the files they were read from; no names, and no files, if none is there. The symbol of a gene is the
    one by which the Virtual Cell Challenge measures it, or HGNC's, or else the only one in Geneformer's dictionary.
    """
    measured, dictionary, approved = (
        at_hand(data_set(name).files[0], downloads) for name in ("vcc2025_genes", "gene_names", hgnc.NAME)
    )
    names, others, found = [NO_PAIRS], [], []
    if approved is not None:
        pairs, symbols = hgnc.read_names(approved)
        names.append(pairs)
        others += symbols
        found.append(approved)
    if dictionary is not None:
        pairs = pd.read_csv(dictionary, na_filter=False)
        names.append(pairs)
        others += sorted(pairs.loc[~pairs["ensembl_id"].duplicated(keep=False), "gene_name"])
        found.append(dictionary)
    if not found:
        return NO_NAMES, []
    preferred = [] if measured is None else measured.read_text(encoding="utf-8").split()
    found += [] if measured is None else [measured]
    return GeneSymbols(pd.concat(names, ignore_index=True).drop_duplicates(), preferred, others), found


def harmonise_genes(var: pd.DataFrame, layout: Layout, names: GeneSymbols = NO_NAMES) -> Genes:
    """Name the genes of a file.

    Genes keep the symbols that the file gives them, since the same gene must be found again in other files of the
    source; another name of theirs is understood where a label has it. A gene that has an Ensembl id alone gets its
    symbol from the table of names. Of several genes with one symbol the first keeps it; the others are named
    `SYMBOL_ENSEMBLID`, as scPerturb names TBCE and HSPA14, or `SYMBOL-1` where the file has no ids.

    Parameters
    ----------
    var
        What describes the genes of the file.
    layout
        Where its symbols and ids are.
    names
        Old and new names.

    Raises
    ------
    InputError
        If a column is not there, the ids are none, or genes have no name at all.
    """
    ids = None if layout.ensembl is None else [without_version(name) for name in _column(var, layout.ensembl)]
    if ids is not None and not any(map(ENSEMBL.fullmatch, ids)):
        msg = f"var[{layout.ensembl!r}] holds no Ensembl ids but {listed(ids)}; name the column that does, or none"
        raise InputError(msg)
    if ids is not None:
        ids = [name.upper() if ENSEMBL.fullmatch(name) else "" for name in ids]
    if layout.symbols is not None:
        there = _column(var, layout.symbols)
    elif ids is not None:
        there = list(ids)
    else:
        msg = "neither symbols nor Ensembl ids of the genes are known; name the column of var that holds them"
        raise InputError(msg)
    nameless = ids if ids is not None else [""] * len(there)
    there = [without_version(name) or identifier for name, identifier in zip(there, nameless, strict=True)]
    if missing := there.count(""):
        msg = f"{missing:,} of {len(there):,} genes have no name in {layout.symbols!r}; name another column of var"
        raise InputError(msg)
    symbols = _unique([(ENSEMBL.fullmatch(name) and names.of_id(name.upper())) or name for name in there], ids)
    renamed = {old: new for old, new in zip(there, symbols, strict=True) if old != new and not ENSEMBL.fullmatch(old)}
    return Genes(
        symbols=np.array(symbols, dtype=object),
        ensembl=None if ids is None else np.array(ids, dtype=object),
        renamed=renamed,
        unresolved=tuple(name for name in symbols if ENSEMBL.fullmatch(name)),
        by_name=_all_names(symbols, ids, renamed, names),
        names=names,
    )


def _column(var: pd.DataFrame, name: str) -> list[str]:
    if name not in (INDEX, var.index.name) and name not in var:
        columns = listed([str(column) for column in var.columns]) or "none"
        msg = f"var has no column {name!r}; its columns are {columns}, and 'index' is its index"
        raise InputError(msg)
    values = var.get(name, var.index).astype(object)
    return ["" if pd.isna(value) or str(value).strip() in ("", "nan") else str(value).strip() for value in values]


def _unique(names: list[str], ids: list[str] | None) -> list[str]:
    given, taken = [], set(names)
    seen: set[str] = set()
    for number, name in enumerate(names):
        new = name
        if name in seen:
            identifier = ids[number] if ids is not None else ""
            new = f"{name}_{identifier}" if identifier else f"{name}-1"
            again = 1
            while new in taken:
                again += 1
                new = f"{name}_{identifier}-{again}" if identifier else f"{name}-{again}"
            taken.add(new)
        seen.add(name)
        given.append(new)
    return given


def _all_names(
    symbols: list[str], ids: list[str] | None, renamed: Mapping[str, str], names: GeneSymbols
) -> dict[str, str]:
    """Find the gene of a name; what the file calls a gene goes before what others call it."""
    found: dict[str, str] = {}
    for symbol in symbols:
        found.setdefault(names.one(symbol) or symbol, symbol)
    for identifier, symbol in zip(ids or (), symbols, strict=bool(ids)):
        if identifier:
            found.setdefault(identifier, symbol)
    return found | dict(renamed) | {symbol: symbol for symbol in symbols}
