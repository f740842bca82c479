"""`python -m data_scripts`: build course data sets from public data, and get published weights."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from data_scripts import data_sets
from data_scripts.pieces import commands as pieces
from starter.errors import InputError

app = typer.Typer(
    help="Build course data sets from public data, and get published weights. Files are downloaded once and verified "
    "by size and hash; those that the folder named by the environment variable VCC_DATA has are taken from there.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


app.add_typer(data_sets.app)
app.add_typer(pieces.app, name="pieces")


@app.command()
def papalexi(
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("screens/papalexi_thp1"),
) -> None:
    """Build the real screen of the course (THP-1 knock-outs, 16,159 cells x 299 genes) and its prior knowledge.

    Example: python -m data_scripts papalexi
    """
    from data_scripts.priors.build import coverage, read_genes
    from data_scripts.screens import papalexi as screen

    path = screen.build(out)
    genes = read_genes(path)
    data_sets.say_coverage(coverage(genes, out / "priors"), len(genes))
    data_sets.say_course(path, out / "priors")


@app.command()
def adopt(
    file: Annotated[Path, typer.Argument(help="An .h5ad of any version of AnnData, or a Zarr store.")],
    out: Annotated[Path | None, typer.Option(help="The .h5ad to write; default: screens/NAME/NAME.h5ad.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
    counts: Annotated[
        str | None, typer.Option(help="Where counts, or logs of them, are: X, raw/X, layers/NAME.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Column of obs with the perturbation.")] = None,
    control: Annotated[list[str] | None, typer.Option(help="Label of controls, or a pattern; may be repeated.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Label, or pattern, of cells to leave out; repeated.")] = None,
    keep: Annotated[list[str] | None, typer.Option(help="COLUMN (true there) or COLUMN=VALUE; repeated: all.")] = None,
    separator: Annotated[str | None, typer.Option(help="Between the genes of a double, beside +.")] = None,
    guide: Annotated[str | None, typer.Option(help="Column of guides; 'none' here and below: there is none.")] = None,
    context: Annotated[list[str] | None, typer.Option(help="Column of cell lines or conditions; repeated.")] = None,
    batch: Annotated[str | None, typer.Option(help="Column of batches (GEM groups, replicates).")] = None,
    n_umis: Annotated[str | None, typer.Option(help="Column of each cell's total UMIs.")] = None,
    percent_mito: Annotated[str | None, typer.Option(help="Column of mitochondrial percentages or shares.")] = None,
    symbols: Annotated[str | None, typer.Option(help="Column of var with gene symbols, or 'index'.")] = None,
    ensembl: Annotated[str | None, typer.Option(help="Column of var with Ensembl ids, or 'index'.")] = None,
    kind: Annotated[Literal["gene", "compound"] | None, typer.Option(help="What cells were perturbed with.")] = None,
    dose: Annotated[str | None, typer.Option(help="Column of doses, in a compound screen.")] = None,
    dose_unit: Annotated[Literal["uM", "nM"] | None, typer.Option(help="Of the doses.")] = None,
    title: Annotated[str | None, typer.Option(help="What the screen is.")] = None,
    organism: Annotated[str | None, typer.Option(help="Such as 'Homo sapiens'.")] = None,
    licence: Annotated[str | None, typer.Option(help="Who may use it how.")] = None,
    source: Annotated[str | None, typer.Option(help="Where it comes from.")] = None,
    citation: Annotated[str | None, typer.Option(help="How to cite it.")] = None,
) -> None:
    """Make a course data set of any screen: look at the file, show what is where, ask, write.

    Every option corrects one line of what is shown. What cannot be told is refused, and the message names the option.

    Example: python -m data_scripts adopt my_screen.h5ad --context cell_line --yes
    """
    from data_scripts.adoption.command import adopt as run

    options = {"counts": counts, "target": target, "control": control, "drop": drop, "keep": keep,
               "separator": separator, "guide": guide, "context": context, "batch": batch, "n_umis": n_umis,
               "percent_mito": percent_mito, "symbols": symbols, "ensembl": ensembl, "kind": kind, "dose": dose,
               "dose_unit": dose_unit}  # fmt: skip
    about = {"title": title, "organism": organism, "licence": licence, "source": source, "citation": citation}
    run(file, out, options, about, yes=yes)


@app.command()
def priors(
    genes: Annotated[
        Path, typer.Option(help="Gene symbols, one a line; or a course data set (.h5ad): its targets and genes.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write; it is for students.")] = Path("priors"),
    downloads: Annotated[Path, typer.Option(help="Where downloads go, to be found the next time.")] = Path("downloads"),
) -> None:
    """Build prior knowledge of a screen's genes: GO annotations, Reactome pathways, DoRothEA regulons, a STRING graph.

    Without VCC_DATA some 150 MB are downloaded once. On a machine without a network, put the files of
    `python -m data_scripts list` into a folder and name it by VCC_DATA.

    Example: python -m data_scripts priors --genes my_screen.h5ad --out priors
    """
    from data_scripts.priors.build import build, read_genes

    wanted = read_genes(genes)
    data_sets.say_coverage(build(wanted, out, downloads), len(wanted))
    typer.echo(f'wrote {out}; for a course, course.toml has priors = "{out}" in [data], as seen from its folder')


@app.command()
def human_genes(
    downloads: Annotated[Path, typer.Option(help="Where downloads go, to be found the next time.")] = Path("downloads"),
) -> None:
    """Build the table of human genes that is shipped with the kit, in starter/simulation/human.

    Some of its sources have no address: name a folder that has them by VCC_DATA. The tables come out the same, byte for
    byte, unless a source or the builder changed.

    Example: python -m data_scripts human-genes
    """
    from data_scripts.human_genes.build import build

    typer.echo(f"wrote {build(downloads)}")


@app.command()
def scgpt(
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("weights/scgpt_human"),
) -> None:
    """Download the published weights of scGPT (whole-human, 205 MB), for notebook 08.

    Example: python -m data_scripts scgpt
    """
    from data_scripts.scgpt import build

    folder = build(out)
    typer.echo(f'the weights are in {folder}; in notebook 08: weights = "{folder.resolve()}"')


@app.command()
def perturbench(
    name: Annotated[str, typer.Argument(help="norman19, srivatsan20, frangieh21, mcfaline23, jiang24 or op3.")],
    source: Annotated[list[Path], typer.Option(help="A file of the source, .h5ad; repeat it for further files.")],
    out: Annotated[Path, typer.Option(help="The .h5ad to write.")],
    symbols: Annotated[
        Path | None,
        typer.Option(help="Gene stable ID and HGNC symbol, as BioMart exports them.", show_default=False),
    ] = None,
    split: Annotated[str, typer.Option(help="published, transfer, combine or inverse.")] = "published",
) -> None:
    """Curate a screen of PerturBench anew, and split it by the published algorithm and seed.

    Example: python -m data_scripts perturbench norman19 --source NormanWeissman2019_filtered.h5ad --out norman19.h5ad
    """
    from data_scripts.perturbench.curate import curate
    from data_scripts.perturbench.sources import CURATIONS

    (n_cells, n_genes), table = curate(name, source, out, symbols, split)
    typer.echo(f"wrote {out}" + (f", {table} and the course's split beside it" if table else ""))
    typer.echo(f"{n_cells:,} cells x {n_genes:,} genes; PerturBench deposited {CURATIONS[name].n_cells:,} cells")
    if table is None:
        typer.echo(f"the published split of {name} is a table: huggingface.co/datasets/altoslabs/perturbench")


@app.command("k562-benchmark")
def k562_benchmark(
    file: Annotated[Path, typer.Argument(help="K562_essential_raw_singlecell_01.h5ad, as the authors published it.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    uns: Annotated[
        bool, typer.Option("--uns", help="Put the tables into the .h5ad too, so that cz-benchmarks opens it.")
    ] = False,
) -> None:
    """Rebuild the K562 essential benchmark of cz-benchmarks: cells, matched controls, DE tables.

    Example: python -m data_scripts k562-benchmark K562_essential_raw_singlecell_01.h5ad --out k562_essential
    """
    from data_scripts.cz_k562.build import build

    path = build(file, out, uns=uns)
    typer.echo(f"wrote {path} and its tables; starter score PREDICTION --profile cz-k562 --truth {out} scores by them")


@app.command()
def lineage(
    path: Annotated[Path, typer.Argument(help="A file that was built, or a folder of such files.")],
    out: Annotated[Path | None, typer.Option(help="Draw it into a picture, too: .svg, .pdf or .png.")] = None,
    croissant: Annotated[
        Path | None, typer.Option(help="Describe one file as Croissant (JSON-LD), for data set search and hubs.")
    ] = None,
    lamindb: Annotated[
        bool,
        typer.Option(
            "--lamindb",
            help="Register one file and its ancestors in the connected LaminDB instance, which copies them; only where "
            "hub.lamin.ai is reached.",
        ),
    ] = False,
) -> None:
    """Show what a file was made of, back to the downloads: builders, parameters, hashes, what is missing or changed.

    Example: python -m data_scripts lineage screens/papalexi_thp1/papalexi_thp1.h5ad --out lineage.svg
    """
    from rich import print as show

    from data_scripts.history.ancestors import read_ancestors
    from data_scripts.history.croissant import write_croissant
    from data_scripts.history.lamin import register
    from data_scripts.history.picture import draw_picture
    from data_scripts.history.tree import draw_tree

    found = read_ancestors(path)
    for made in found:
        show(draw_tree(made))
    if out:
        draw_picture(found, out)
        typer.echo(f"drew {out}")
    if croissant:
        write_croissant(path, croissant)
        typer.echo(f"wrote {croissant}")
    if lamindb:
        n_files, left_out = register(path)
        typer.echo(f"registered {n_files:,} files; left out, missing or changed: {', '.join(left_out) or 'none'}")


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="A file, or a folder: all in it that something is known of.")],
    against: Annotated[
        Path | None, typer.Option(help="A screen (.h5ad, Zarr) that should hold the same: compare value by value.")
    ] = None,
) -> None:
    """Verify files against their lineage, the catalogue and the rules of a course data set; or one against another.

    Files are read to their ends. Exit status 2, and a sentence for each fault.

    Example: python -m data_scripts verify screens/papalexi_thp1

    Example: python -m data_scripts verify rebuilt.h5ad --against deposited.h5ad
    """
    from rich import print as show

    from data_scripts.verification.equality import compare_screens
    from data_scripts.verification.files import verify as verify_files
    from data_scripts.verification.report import equality_table, faults_of, notes_of
    from data_scripts.verification.values import TOLERANCE

    if against:
        found = compare_screens(path, against)
        show(equality_table(found))
        for note in notes_of(found):
            typer.echo(note)
        faults = faults_of(found)
        same = f"holds the same as {against} (close: within {TOLERANCE:g} of the larger value)"
        typer.echo(f"{path} {f'differs from {against}' if faults else same}")
    else:
        verified = verify_files(path)
        for each in verified:
            if not each.faults:
                typer.echo(f"{each.path}: agrees with {' and '.join(each.held_against)}")
        faults = [fault for each in verified for fault in each.faults]
    for fault in faults:
        typer.echo(f"error: {fault}", err=True)
    if faults:
        raise typer.Exit(2)


if __name__ == "__main__":
    debug = "--debug" in sys.argv
    try:
        app(args=[argument for argument in sys.argv[1:] if argument != "--debug"])
    except InputError as fault:
        if debug:
            raise
        typer.echo(f"error: {fault}", err=True)
        raise SystemExit(2) from None
