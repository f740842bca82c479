"""The human genes that are shipped with the kit, for simulated screens (`starter/simulation/human`).

Of the expressed genes those are taken of which most is known, theme by theme (`THEMES`), with the targets of real
screens and many transcription factors among them. All follows from files that the catalogue names by hash, so that the
tables come out the same, byte for byte.

Only what is free (CC0, CC BY) is written. Left out for their licences: DoRothEA's regulons (CC BY-NC) and the list of
factors of Lambert et al. 2018 (none is stated); `data_scripts.human_genes.reactome_regulons` and GO take their places.
"""

import importlib.util
import lzma
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from data_scripts.catalogue import DataSet, RemoteFile, data_set
from data_scripts.download import at_hand, fetch
from data_scripts.formats.packed import lines
from data_scripts.human_genes.expression_levels import (
    CP10K,
    draw_of,
    fill_in,
    level_in_norman,
    level_in_pbmc,
    mean_level,
)
from data_scripts.human_genes.reactome_regulons import read_regulons
from data_scripts.priors import reactome, string_db
from data_scripts.priors.gene_symbols import GeneSymbols
from data_scripts.screens import papalexi
from starter.errors import InputError
from starter.files import whole
from starter.schema import CONTROL, N_UMIS, TARGET_GENE

FOLDER = Path(__file__).resolve().parents[2] / "starter" / "simulation" / "human"
SOURCES = (
    "papalexi_thp1",
    "norman_k562",
    "pbmc68k",
    "replogle_ranks",
    "vcc2025_genes",
    "string_v12_symbols",
    "go_terms",
    "reactome_gmt",
    "core_essential",
    "gene_names",
)
"""Entries of the catalogue; of networks and annotations one edition, whatever else is at hand."""

N_GENES, N_FACTORS = 1600, 200
"""Genes in all, and transcription factors among them."""
SET_SIZES = (5, 300)
"""Genes of a process or pathway that is written, of those in the table."""
EXPRESSED = 0.05
"""Mean count per 10,000 from which a gene counts as expressed in a screen, and has its level from there."""
CERTAIN_FACTOR = ("GO:0000981", "GO:0001077", "GO:0001078", "GO:0001227", "GO:0003705", "GO:0004879")
LIKELY_FACTOR = ("GO:0000977", "GO:0001205", "GO:0001228")
"""GO's terms for factors that bind a DNA sequence and act on RNA polymerase II."""
ANY_FACTOR, BINDS_DNA = (
    "GO:0003700",
    (
        "GO:0000976",
        "GO:0000978",
        "GO:0000979",
        "GO:0000980",
        "GO:0001046",
        "GO:0003677",
        "GO:0044212",
        "GO:0070888",
    ),
)
"""A term for factors that many partners of theirs have too: it counts with one that says that DNA is bound."""
PARTNER = ("GO:0003712", "GO:0003713", "GO:0003714")
"""Terms for partners of factors; who has one is a factor only if a certain term says so."""
FILLED = "filled"
"""Where a gene was measured, if it was not."""
PREFERENCE = 8
"""A gene whose level was measured is preferred to one of which so many times more is known."""
EXOSOME = "GO:0070062"
"""Extracellular exosome."""
RIBOSOME, RIBOSOMAL_SHARE = "R-HSA-156902", 0.25
"""Reactome's peptide chain elongation; share of a cell's transcripts that code for ribosomal proteins ..."""
RIBOSOMAL = r"RP[LS](A|P[0-2]|\d+[AX]?)"
"""... which have these symbols."""

FACTORS = (
    "CEBPA CEBPB CTCF FOS GATA1 GATA2 IRF3 IRF7 JUN KLF1 MAX MYC NFE2 NFE2L1 NFE2L2 NFKB1 RELA SP1 SPI1 TAL1 TP53 YY1"
)
"""Textbook factors, beside those that have regulons; GO lacks some of them."""
WANTED = "ACTB ACTG1 B2M FTH1 FTL GAPDH HMGA1 LDHA MDM2 PTMA TMSB10 TMSB4X TUBA1B VIM"
"""Genes that any biologist looks for."""
INDUCIBLE = ("STAT1", "STAT2", "IRF1", "TP53")
"""Factors whose targets are taken though K562 and RPE1 cells do not express them: interferon's, and p53's."""
THEMES: dict[str, int] = {
    "R-HSA-156902": 100,  # peptide chain elongation: the ribosome
    "R-HSA-72613": 35,  # translation initiation
    "R-HSA-5368287": 45,  # mitochondrial translation
    "R-HSA-163200": 75,  # respiratory chain and ATP synthase
    "R-HSA-71403": 15,  # TCA cycle
    "R-HSA-1268020": 25,  # mitochondrial protein import
    "R-HSA-70326": 25,  # glucose metabolism
    "R-HSA-191273": 22,  # cholesterol biosynthesis
    "R-HSA-8978868": 25,  # fatty acids
    "R-HSA-15869": 25,  # nucleotides
    "R-HSA-381119": 45,  # unfolded protein response
    "R-HSA-3371556": 30,  # heat stress
    "R-HSA-391251": 25,  # protein folding
    "R-HSA-174084": 45,  # proteasome, by way of the degradation of Cdh1
    "R-HSA-72163": 60,  # splicing
    "R-HSA-379724": 25,  # tRNA aminoacylation
    "R-HSA-8868773": 40,  # rRNA processing
    "R-HSA-75953": 30,  # initiation by RNA polymerase II
    "R-HSA-72202": 25,  # export of transcripts
    "R-HSA-69306": 45,  # DNA replication
    "R-HSA-69206": 40,  # G1/S
    "R-HSA-69618": 50,  # spindle checkpoint
    "R-HSA-69275": 35,  # G2/M
    "R-HSA-5693538": 30,  # homology-directed repair
    "R-HSA-73884": 15,  # base excision repair
    "R-HSA-3247509": 60,  # chromatin
    "R-HSA-3700989": 60,  # TP53
    "R-HSA-909733": 45,  # interferon alpha and beta
    "R-HSA-877300": 40,  # interferon gamma
    "R-HSA-983170": 15,  # peptides on MHC class I
    "R-HSA-449147": 50,  # interleukins
    "R-HSA-168898": 35,  # Toll-like receptors
    "R-HSA-73887": 30,  # death receptors
    "R-HSA-109581": 35,  # apoptosis
    "R-HSA-202403": 30,  # T cell receptor
    "R-HSA-170834": 30,  # TGF beta
    "R-HSA-5673001": 40,  # RAS, RAF and MAP kinases
    "R-HSA-1257604": 35,  # PI3K and AKT
    "R-HSA-165159": 25,  # mTOR
    "R-HSA-195721": 35,  # WNT
    "R-HSA-157118": 25,  # NOTCH
    "R-HSA-2028269": 12,  # Hippo
    "R-HSA-1234174": 15,  # hypoxia
    "R-HSA-9612973": 35,  # autophagy
    "R-HSA-199977": 30,  # ER to Golgi
    "R-HSA-8856828": 20,  # endocytosis
    "R-HSA-195258": 25,  # effectors of Rho
    "R-HSA-8951664": 15,  # neddylation
    "R-HSA-3299685": 15,  # reactive oxygen
    "R-HSA-917937": 15,  # iron
    "R-HSA-216083": 20,  # integrins
}
"""Reactome pathways and how many of their genes are taken, so that each kind of process is there."""

TAKEN = {
    "string_v12_symbols": "`links.tsv.xz`: links between these genes, without text mining; the combined score x 1,000",
    "go_terms": "`go_processes.gmt.xz`: biological processes, direct annotations; which genes are factors",
    "reactome_gmt": "`reactome.gmt.xz`: pathways; `regulons.tsv` is read from them",
    "core_essential": "which genes are core-essential",
    "papalexi_thp1": "mean expression in its control cells",
    "norman_k562": "mean expression in its control cells",
    "pbmc68k": "mean expression in its 700 cells",
    "replogle_ranks": "nothing; which genes K562 and RPE1 cells express, and their responses order what is filled in",
    "vcc2025_genes": "nothing; its 50 validation targets are among the genes",
    "gene_names": "nothing; former names of genes are matched to today's",
}
"""What is taken from each source."""
TEXT = """# Sources of the human genes

Made by `python -m data_scripts human-genes`; do not edit. {n_genes:,} protein-coding genes that human cells express.

**The expression levels are those of no cell type.** `ln_expression` is the natural logarithm of a mean count per
10,000. It was measured in real cells for {n_measured:,} genes (`measured_in`; the first with a mean of at least
{expressed}): {n_thp1} in THP-1 and {n_k562} in K562, both control cells of a screen, and {n_pbmc} in blood cells.
For {n_filled:,} genes it is *filled in*. Their order follows a regression on a gene's links, on whether its protein is
in exosomes and on its responses in K562 and RPE1 cells, fitted to {n_sample} genes of the THP-1 screen (in genes that
it has not seen, its correlation with the measured level is {correlation:.2f}), and a draw that weighs half as much;
their spread is that of those {n_sample} genes. The cytosolic ribosome's {n_ribosomal} genes are given {share:.0%} of a
cell's transcripts, about as in droplet data of cell lines.

A transcription factor is what GO says binds DNA sequences and acts on transcription, a regulator of `regulons.tsv`, or
one of {n_named} that are named. Regulators, targets and signs in `regulons.tsv` are the kit's authors' reading of
Reactome's pathways. All this is made for simulations; for biology, go to the sources.

| source | taken | licence | where | cite |
|---|---|---|---|---|
{sources}

What is taken is free by CC0 1.0 (Reactome) or CC BY 4.0 (STRING, GO, the article of the core-essential genes, the
screens as scPerturb publishes them, the blood cells). It was changed: genes were chosen, renamed and put together. Left
out for their licences: DoRothEA's regulons (CC BY-NC) and the transcription factors of Lambert et al. 2018 (none is
stated).
"""


class GeneSet(NamedTuple):
    """A process or a pathway."""

    name: str
    genes: set[str]


class Fit(NamedTuple):
    """How expression levels were filled in."""

    correlation: float
    """Of expected and measured level, in genes that the regression has not seen."""
    n_genes: int
    n_ribosomal: int


@dataclass(frozen=True)
class Knowledge:
    """What the sources say, by today's symbols."""

    proteins: set[str]
    """Genes that code for proteins: those of STRING."""
    levels: pd.DataFrame
    """Mean count per 10,000, gene x screen (THP-1, K562, PBMC: by depth); NaN where it was not measured."""
    targets: set[str]
    """Targets of the THP-1 screen and of the challenge's validation."""
    responses: pd.DataFrame
    """Genes that K562 and RPE1 cells express: in how many knock-downs a gene is among the 1,000 most raised ones, and
    at which median rank, gene x line; ln, larger for stronger."""
    links: pd.DataFrame
    """Columns gene_a, gene_b and score (400 to 999), sorted."""
    processes: dict[str, GeneSet]
    pathways: dict[str, GeneSet]
    factors: set[str]
    abundant: set[str]
    """Genes whose proteins are found in exosomes, which are many of the abundant ones."""
    essential: set[str]
    regulons: pd.DataFrame


def build(downloads: str | Path, folder: str | Path = FOLDER) -> Path:
    """Write the tables.

    Parameters
    ----------
    downloads
        Where downloads go; several sources have no address and are taken from `VCC_DATA`.
    folder
        Receives `genes.tsv`, `links.tsv.xz`, `go_processes.gmt.xz`, `reactome.gmt.xz`, `regulons.tsv` and `SOURCES.md`.

    Returns
    -------
    The folder.

    Raises
    ------
    InputError
        If a source cannot be had or has another content, or the folder cannot be written.
    """
    folder = Path(folder)
    entries = {name: data_set(name) for name in SOURCES}
    files = {name: [_found(file, downloads) for file in entry.files] for name, entry in entries.items()}
    known = read_knowledge(files)
    genes = choose(known)
    table, fit = describe(genes, known)
    chosen = set(genes)
    links = known.links[known.links["gene_a"].isin(chosen) & known.links["gene_b"].isin(chosen)]
    regulons = known.regulons[known.regulons["regulator"].isin(chosen) & known.regulons["target"].isin(chosen)]
    contents = {
        "genes.tsv": _tsv(table),
        "links.tsv.xz": _packed(_tsv(links)),
        "go_processes.gmt.xz": _packed(_gmt(known.processes, chosen)),
        "reactome.gmt.xz": _packed(_gmt(known.pathways, chosen)),
        "regulons.tsv": _tsv(regulons),
        "SOURCES.md": _sources(entries, table, fit).encode(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            with whole(folder / name) as path:
                path.write_bytes(content)
    except OSError as error:
        msg = f"cannot write to {folder}: {error.strerror}; choose another folder"
        raise InputError(msg) from error
    return folder


def read_knowledge(files: Mapping[str, list[Path]]) -> Knowledge:
    """Read all sources, and give every gene the symbol that it has today.

    Parameters
    ----------
    files
        Data set to its files, in the catalogue's order.
    """
    (names,), (graph,) = files["gene_names"], files["string_v12_symbols"]
    vcc_genes, validation = files["vcc2025_genes"]
    edges = string_db.read_edges(graph)
    proteins = set(edges[string_db.EDGE].to_numpy().ravel())
    today = GeneSymbols(pd.read_csv(names, na_filter=False), vcc_genes.read_text().split(), sorted(proteins))

    counts, obs, measured = papalexi.read_cells(*files["papalexi_thp1"])
    controls = (obs[TARGET_GENE] == CONTROL).to_numpy()
    thp1 = mean_level(counts[controls], obs[N_UMIS].to_numpy()[controls], measured)
    levels = {
        "THP-1": today.indexed(thp1),
        "K562": today.indexed(level_in_norman(*files["norman_k562"])),
        "PBMC": today.indexed(level_in_pbmc(*files["pbmc68k"])),
    }
    raised = [pd.read_parquet(path).groupby("gene")["rank"] for path in files["replogle_ranks"]]
    responses = {}
    for line, ranks in zip(("K562", "RPE1"), raised, strict=True):
        responses[f"times raised in {line}"] = np.log(today.indexed(ranks.size()))
        responses[f"rank when raised in {line}"] = -np.log(today.indexed(ranks.median()))
    targets = {*obs[TARGET_GENE].cat.categories, *papalexi.DROPPED, *pd.read_csv(validation)[TARGET_GENE]} - {CONTROL}

    (go_terms,), (gmt,), (core,) = files["go_terms"], files["reactome_gmt"], files["core_essential"]
    terms = pd.read_csv(go_terms, sep="\t", dtype=str, na_filter=False, index_col="go_id")
    of_term = terms["gene_symbols"].str.split("|")
    processes = terms[terms["go_domain"] == "biological_process"]
    pathways = [line.split("\t") for line in lines(gmt, reactome.LIMIT)]
    regulons = _renamed(read_regulons({identifier: genes for _, identifier, *genes in pathways}), today)
    return Knowledge(
        proteins=today.all(proteins),
        levels=pd.DataFrame(levels),
        targets=today.all(targets),
        responses=pd.DataFrame(responses),
        links=_links(edges, today),
        processes={term: GeneSet(name, today.all(of_term[term])) for term, name in processes["go_name"].items()},
        pathways={
            identifier: GeneSet(" ".join(name.split()), today.all(genes)) for name, identifier, *genes in pathways
        },
        factors=today.all(_factors(of_term)) | {*FACTORS.split(), *regulons["regulator"]},
        abundant=today.all(of_term[EXOSOME]),
        essential=today.all(pd.read_csv(core, sep="\t", na_filter=False)["GENE"]),
        regulons=regulons,
    )


def choose(known: Knowledge) -> list[str]:
    """Choose the genes of the table.

    First the targets of real screens and `WANTED`; then the best known genes of each of `THEMES`; then, of all, the
    best known transcription factors, and the best known genes.

    Returns
    -------
    Symbols, sorted.
    """
    measured = set(known.levels.index[known.levels.max(axis=1) >= EXPRESSED])
    expressed = measured | set(known.responses.index)
    switched = set(known.regulons["target"])
    # a factor's targets may be silent in the two lines that tell what is expressed; that they switch is the point
    induced = set(known.regulons["target"][known.regulons["regulator"].isin(INDUCIBLE)])
    named = (
        known.targets
        | {*WANTED.split(), *FACTORS.split(), *known.regulons["regulator"]}
        | (switched & expressed)
        | induced
    )
    possible = sorted((expressed | named) & known.proteins)
    # whole numbers, for processors round logarithms differently; equal scores go by symbol
    score = (1 + _known_of(possible, known)).prod(axis=1) * np.where(np.isin(possible, list(measured)), PREFERENCE, 1)
    ranked = [possible[place] for place in np.argsort(-score.to_numpy(), kind="stable")]
    chosen = {gene for gene in ranked if gene in named}
    for pathway, n_wanted in THEMES.items():
        members = [gene for gene in ranked if gene in known.pathways[pathway].genes]
        chosen.update(members[:n_wanted])
    factors = [gene for gene in ranked if gene in known.factors]
    chosen.update([gene for gene in factors if gene not in chosen][: max(0, N_FACTORS - len(chosen & known.factors))])
    chosen.update([gene for gene in ranked if gene not in chosen][: N_GENES - len(chosen)])
    return sorted(chosen)


def describe(genes: list[str], known: Knowledge) -> tuple[pd.DataFrame, Fit]:
    """Describe the chosen genes one by one.

    Returns
    -------
    Columns symbol, ln_expression, measured_in (a screen's cells, or `filled`), transcription_factor and core_essential
    (1 or 0); and what to say of the levels.
    """
    levels = known.levels.reindex(genes)
    ribosomal = [gene for gene in genes if gene in known.pathways[RIBOSOME].genes and re.fullmatch(RIBOSOMAL, gene)]
    levels.loc[ribosomal] = np.nan  # RPS24 alone is measured
    clear = levels.where(levels >= EXPRESSED)
    measured_in = clear.notna().idxmax(axis=1).where(clear.notna().any(axis=1), FILLED)
    measured = np.log(clear.bfill(axis=1).iloc[:, 0])

    # the authors of the file drew its genes at random, so that they stand for all
    thp1 = known.levels["THP-1"]
    random_sample = sorted(set(thp1.index[thp1 >= EXPRESSED]) & known.proteins)
    # not how much is written of a gene, which says what it is famous for
    features = np.log1p(_known_of(sorted({*genes, *random_sample}), known)[["links"]]).assign(
        abundant=lambda table: table.index.isin(known.abundant).astype(float)
    )
    # a gene that a line does not express responds as weakly as any
    responses = known.responses.reindex(features.index).fillna(known.responses.min())
    filled, correlation = fill_in(np.log(thp1[random_sample]), features.join(responses), genes)
    spread = np.exp([0.5 * draw_of(gene) for gene in ribosomal])
    filled[ribosomal] = np.log(RIBOSOMAL_SHARE * CP10K * spread / spread.sum())
    table = pd.DataFrame(
        {
            "symbol": genes,
            "ln_expression": measured.fillna(filled).round(2).to_numpy(),
            "measured_in": measured_in.to_numpy(),
            "transcription_factor": [int(gene in known.factors) for gene in genes],
            "core_essential": [int(gene in known.essential) for gene in genes],
        }
    )
    return table, Fit(correlation, len(random_sample), len(ribosomal))


def _found(file: RemoteFile, downloads: str | Path) -> Path:
    """Get a source; one of them comes with scanpy."""
    package = importlib.util.find_spec("scanpy")
    places = package.submodule_search_locations if package else None
    return (at_hand(file, Path(places[0]) / "datasets") if places else None) or fetch(file, downloads)


def _factors(genes_of: pd.Series) -> set[str]:
    """Give GO's transcription factors, from the genes of each term."""
    certain, likely, any_factor, bound, partner = (
        {gene for term in terms for gene in genes_of[term]}
        for terms in (CERTAIN_FACTOR, LIKELY_FACTOR, [ANY_FACTOR], BINDS_DNA, PARTNER)
    )
    return certain | (likely | (any_factor & bound)) - partner


def _known_of(genes: list[str], known: Knowledge) -> pd.DataFrame:
    """Count a gene's links, processes and pathways."""
    named = {
        "links": pd.concat([known.links[column] for column in string_db.EDGE]),
        "processes": pd.Series([gene for term in known.processes.values() for gene in term.genes]),
        "pathways": pd.Series([gene for pathway in known.pathways.values() for gene in pathway.genes]),
    }
    table = pd.DataFrame({name: genes_named.value_counts() for name, genes_named in named.items()})
    return table.reindex(genes).fillna(0).astype(np.int64)


def _renamed(edges: pd.DataFrame, today: GeneSymbols) -> pd.DataFrame:
    """Give the genes of edges (the first two columns) today's symbols; leave out those that have none, and loops."""
    columns = list(edges.columns[:2])
    names = edges[columns].map(today.one)
    kept = names.notna().all(axis=1) & (names[columns[0]] != names[columns[1]])
    return edges[kept].assign(**names[kept])


def _links(edges: pd.DataFrame, today: GeneSymbols) -> pd.DataFrame:
    """Give the genes of links today's symbols; of two links between two genes keep the better one."""
    links = _renamed(edges, today)
    links[string_db.EDGE] = np.sort(links[string_db.EDGE].to_numpy(dtype=str), axis=1)
    return links.sort_values([*string_db.EDGE, "score"]).drop_duplicates(string_db.EDGE, keep="last")


def _tsv(table: pd.DataFrame) -> bytes:
    return table.to_csv(sep="\t", index=False, lineterminator="\n").encode()


def _gmt(sets: Mapping[str, GeneSet], genes: Collection[str]) -> bytes:
    """Write the sets of the right size: a line each, with name, id and genes."""
    kept = {identifier: sorted(whole_set.genes & set(genes)) for identifier, whole_set in sorted(sets.items())}
    rows = [
        "\t".join([sets[identifier].name, identifier, *members])
        for identifier, members in kept.items()
        if SET_SIZES[0] <= len(members) <= SET_SIZES[1]
    ]
    return ("\n".join(rows) + "\n").encode()


def _packed(content: bytes) -> bytes:
    return lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)


def _sources(entries: Mapping[str, DataSet], table: pd.DataFrame, fit: Fit) -> str:
    """Say what the tables are made of."""
    rows = []
    for name, what in TAKEN.items():
        entry = entries[name]
        rows.append(f"| {entry.title} | {what} | {entry.licence} | {entry.source} | {entry.citation} |")
    n_genes = table["measured_in"].value_counts()
    return TEXT.format(
        n_genes=len(table),
        n_measured=len(table) - n_genes[FILLED],
        n_filled=n_genes[FILLED],
        n_thp1=n_genes["THP-1"],
        n_k562=n_genes["K562"],
        n_pbmc=n_genes["PBMC"],
        n_sample=fit.n_genes,
        n_ribosomal=fit.n_ribosomal,
        n_named=len(FACTORS.split()),
        correlation=fit.correlation,
        share=RIBOSOMAL_SHARE,
        expressed=EXPRESSED,
        sources="\n".join(rows),
    )
