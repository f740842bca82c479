"""Gene Ontology annotations: what a gene product does, in which process, and where in the cell.

Direct annotations alone: a term's ancestors are not added. Left out are annotations with the qualifier NOT, which deny
something, and those with the evidence code ND (no data), which say that nothing is known and name one of three root
terms. All other evidence codes stay, also those that a program inferred (IEA) or that come from mutants (IMP): gene
features are made of all of them elsewhere, and the file that stands in for the consortium's tells no codes apart.
"""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from data_scripts.download import obtain
from data_scripts.formats.packed import lines
from data_scripts.lineage import write_table
from starter.errors import InputError

NAME = "go"
TABLE = "go_annotations.tsv"
COLUMNS = ["gene", "term"]
DENIED, NO_DATA = "NOT", "ND"
ROOTS = ("GO:0003674", "GO:0005575", "GO:0008150")
"""Molecular function, cellular component, biological process: as annotations they say that nothing is known."""
SYMBOL, QUALIFIER, TERM, EVIDENCE = 2, 3, 4, 6
"""Columns of a GAF, counted from 0."""
MIN_COLUMNS = 15
LIMIT = 1 << 31
"""Bytes of a GAF; the human one has some 200 MB."""


def build(genes: Collection[str], folder: str | Path, downloads: str | Path) -> Path:
    """Write the annotations of some genes.

    Parameters
    ----------
    genes
        Gene symbols.
    folder
        Receives `go_annotations.tsv` (columns gene and term, a GO id) and its lineage.
    downloads
        Where downloads go.

    Returns
    -------
    The path of the table.
    """
    entry, sources = obtain(NAME, downloads)
    read = read_gaf if entry.name == NAME else read_terms
    (source,) = sources
    table = read(source, set(genes))
    parameters = {"annotations": "direct", "left_out": [DENIED, NO_DATA, *ROOTS], "genes": len(set(genes))}
    return write_table(Path(folder) / TABLE, table, sources, entry, parameters, __file__)


def read_gaf(path: str | Path, genes: Collection[str]) -> pd.DataFrame:
    """Read the consortium's file.

    Parameters
    ----------
    path
        A GAF 2 (`HUMAN-uniprot.gaf.gz`): comments begin with `!`; 17 columns, tab-separated.
    genes
        Gene symbols to keep.

    Returns
    -------
    Columns gene and term; each pair once, sorted.

    Raises
    ------
    InputError
        If it has another layout.

    References
    ----------
    GO Annotation File (GAF) format 2.2, https://geneontology.org/docs/go-annotation-file-gaf-format-2.2/
    """
    pairs = set()
    for number, line in enumerate(lines(path, LIMIT), 1):
        if number == 1 and not line.startswith("!gaf-version: 2."):
            msg = f"{path} is not a GAF 2: its first line is {line[:40]!r}; download it again"
            raise InputError(msg)
        if line.startswith("!") or not line:
            continue
        fields = line.split("\t")
        if len(fields) < MIN_COLUMNS or not fields[TERM].startswith("GO:"):
            msg = f"{path}, line {number:,}: {line[:60]!r} is not a line of a GAF 2; download it again"
            raise InputError(msg)
        if fields[SYMBOL] not in genes or DENIED in fields[QUALIFIER].split("|") or fields[EVIDENCE] == NO_DATA:
            continue
        pairs.add((fields[SYMBOL], fields[TERM]))
    return _table(pairs)


def read_terms(path: str | Path, genes: Collection[str]) -> pd.DataFrame:
    """Read the file that stands in for the consortium's: one term a row, with its genes.

    Parameters
    ----------
    path
        `GO_annotations-9606-direct-allev.tsv`: columns go_id and gene_symbols (separated by `|`), and others.
    genes
        Gene symbols to keep.

    Returns
    -------
    Columns gene and term; each pair once, sorted.

    Raises
    ------
    InputError
        If it has another layout.
    """
    try:
        terms = pd.read_csv(path, sep="\t", usecols=["go_id", "gene_symbols"], dtype=str, na_filter=False)
    except (ValueError, OSError) as error:
        msg = f"{path} has not the layout of a table of GO terms ({error}); get it again"
        raise InputError(msg) from error
    rows = zip(terms["go_id"], terms["gene_symbols"], strict=True)
    return _table({(gene, term) for term, symbols in rows for gene in symbols.split("|") if gene in genes})


def _table(pairs: set[tuple[str, str]]) -> pd.DataFrame:
    return pd.DataFrame(sorted(pair for pair in pairs if pair[1] not in ROOTS), columns=COLUMNS)
