"""Published gene embeddings as feature tables, as `starter.priors.tables.read_features` reads them."""

import json
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pandas as pd

from data_scripts.catalogue import data_set
from data_scripts.download import obtain
from data_scripts.lineage import write_lineage
from starter.errors import InputError, counted, listed
from starter.files import whole

SCGPT_GENES, GENEFORMER_GENES = "encoder.embedding.weight", "embeddings.word_embeddings.weight"
"""The input embedding in each checkpoint; Geneformer's may have something before it."""


def build(name: str, genes: Collection[str], folder: str | Path, downloads: str | Path) -> tuple[Path, pd.DataFrame]:
    """Write what an embedding knows of some genes.

    Parameters
    ----------
    name
        An embedding of the catalogue, of `READERS`.
    genes
        Gene symbols: a screen's targets and measured genes.
    folder
        Receives `<name>_features.parquet` and its lineage.
    downloads
        Where downloads go.

    Returns
    -------
    The path, and the feature table: index gene (those that it knows, sorted), one column a number of the embedding.

    Raises
    ------
    InputError
        If it cannot be had or read, or knows none of the genes.
    """
    if name not in READERS:
        entry = data_set(name)
        msg = (
            f"no feature table is made of {name}: {entry.note or 'it is no embedding'}; there are {', '.join(READERS)}"
        )
        raise InputError(msg)
    entry, paths = obtain(name, downloads)
    wanted = sorted(set(genes))
    try:
        known, values = READERS[name](paths, wanted)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        msg = f"{paths[0]} cannot be read as {name} ({type(error).__name__}: {str(error)[:200]}); download it again"
        raise InputError(msg) from error
    if not known:
        msg = f"{name} knows none of {counted(len(wanted), 'gene')} ({listed(wanted)}); give human gene symbols"
        raise InputError(msg)
    columns = [f"{name}_{number}" for number in range(values.shape[1])]
    table = pd.DataFrame(values.astype(np.float32), index=pd.Index(known, name="gene"), columns=columns)
    if not np.isfinite(table.to_numpy()).all():
        msg = f"{paths[-1]} holds NaN or infinite values of these genes; download it again"
        raise InputError(msg)
    path = Path(folder) / f"{name}_features.parquet"
    with whole(path) as part:
        table.to_parquet(part)
    write_lineage(path, paths, [entry], {"genes": len(wanted), "known": len(known)}, __file__)
    return path, table


def read_dense(paths: list[Path], genes: list[str]) -> tuple[list[str], np.ndarray]:
    """Read a source of Arc's PIE: `meta.json` with its keys, and an array with a row for each."""
    keys = json.loads(paths[0].read_text(encoding="utf-8"))["keys"]
    values = np.load(paths[1], mmap_mode="r", allow_pickle=False)
    if values.ndim != 2 or len(values) != len(keys):
        msg = f"{paths[1].name} has the shape {values.shape} for {len(keys):,} keys"
        raise ValueError(msg)
    return _rows({str(key): number for number, key in enumerate(keys)}, values, genes)


def read_scgpt(paths: list[Path], genes: list[str]) -> tuple[list[str], np.ndarray]:
    """Read the input embedding of scGPT's genes from its checkpoint."""
    import torch

    of_name = {path.name: path for path in paths}
    vocabulary = json.loads(of_name["vocab.json"].read_text(encoding="utf-8"))
    state = torch.load(of_name["best_model.pt"], map_location="cpu", weights_only=True, mmap=True)
    return _rows(vocabulary, state[SCGPT_GENES].float().numpy(), genes)


def read_geneformer(paths: list[Path], genes: list[str]) -> tuple[list[str], np.ndarray]:
    """Read the input embedding of Geneformer's genes, by way of their Ensembl ids."""
    from safetensors.numpy import load_file

    weights, tokens, names = paths
    tensors = load_file(weights)
    name = next(name for name in tensors if name.endswith(GENEFORMER_GENES))
    token = pd.read_csv(tokens, na_filter=False).set_index("ensembl_id")["token"]
    ids = pd.read_csv(names, na_filter=False).drop_duplicates("gene_name").set_index("gene_name")["ensembl_id"]
    row_of = {gene: int(token[ids[gene]]) for gene in genes if gene in ids.index and ids[gene] in token.index}
    return _rows(row_of, tensors[name], genes)


def _rows(row_of: dict[str, int], values: np.ndarray, genes: list[str]) -> tuple[list[str], np.ndarray]:
    known = [gene for gene in genes if gene in row_of]
    return known, np.asarray(values[[row_of[gene] for gene in known]])


READERS: dict[str, Callable[[list[Path], list[str]], tuple[list[str], np.ndarray]]] = {
    "esm2": read_dense,
    "string_space": read_dense,
    "depmap_gene_effect": read_dense,
    "gene_text": read_dense,
    "geneformer": read_geneformer,
    "scgpt_human": read_scgpt,
}
"""Embeddings, and how each is read. Pickles (GenePT, scELMo) are not: whoever opens one runs what is in it."""
