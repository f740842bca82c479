"""The commands for the data sets of the catalogue: list, info, fetch, build."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from data_scripts.catalogue import DataSet, RemoteFile, catalogue, data_set
from starter.errors import InputError, counted

if TYPE_CHECKING:
    from data_scripts.subset.cells import Part  # which loads pandas: `list` must stay quick

app = typer.Typer()
DOWNLOADS = Path("downloads")
NOT_HERE = "not here"
WIDTH, NARROW = 140, 110
"""Characters of a table that goes to a file; of a terminal that is too narrow for one."""
DownloadsOption = Annotated[Path, typer.Option(help="Where downloads go, to be found the next time.")]
SubsetOption = Annotated[bool, typer.Option("--subset", help="Only a part, by byte ranges: see the four sizes.")]
PerturbationsOption = Annotated[int, typer.Option(help="Of a part: perturbations, drawn at random.")]
CellsOption = Annotated[int, typer.Option(help="Of a part: cells of each perturbation.")]
ControlsOption = Annotated[int, typer.Option(help="Of a part: control cells.")]
GenesOption = Annotated[int, typer.Option(help="Of a part: most variable genes; the targets come besides.")]
SeedOption = Annotated[int, typer.Option(help="Of a part: another seed draws other cells.")]


class Kind(StrEnum):
    """Kinds of data sets."""

    screen = "screen"
    list = "list"
    prior = "prior"
    embedding = "embedding"
    weights = "weights"


@app.command("list")
def list_data_sets(
    kind: Annotated[Kind | None, typer.Option(help="Only those of a kind.")] = None,
    downloads: DownloadsOption = DOWNLOADS,
) -> None:
    """List the data sets: what each is, its size and licence, and what of it is on this disk.

    Example: python -m data_scripts list --kind screen
    """
    rows = [
        (
            name,
            entry.title,
            f"{_number(entry.cells)} x {_number(entry.genes)}" if entry.cells or entry.genes else "",
            "" if entry.bytes is None else _size(entry.bytes),
            entry.licence,
            _state(entry, downloads),
        )
        for name, entry in catalogue().items()
        if kind is None or entry.kind == kind.value
    ]
    console = Console()
    if console.is_terminal and console.width < NARROW:
        for name, what, shape, size, licence, state in rows:
            console.print(f"[bold]{name}[/]\n  {what}", highlight=False)
            console.print(f"  {'; '.join(part for part in (shape, size, licence) if part)}; {state}", highlight=False)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", no_wrap=True)
    table.add_column("what", ratio=3)
    table.add_column("cells x genes", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("licence", ratio=1)
    table.add_column("on this disk", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    (console if console.is_terminal else Console(width=WIDTH)).print(table)


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="A data set of the list.")], downloads: DownloadsOption = DOWNLOADS
) -> None:
    """Say everything of a data set: licence, citation, files, hashes, addresses, what can be built of it.

    Example: python -m data_scripts info replogle_k562_essential
    """
    entry = data_set(name)
    _introduce(entry)
    for file in entry.files:
        size = "size not stated" if file.bytes is None else _size(file.bytes)
        typer.echo(f"\n{file.name}: {size}, {_state_of(file, downloads)}")
        for algorithm, due in file.hashes.items():
            typer.echo(f"  {algorithm} {due}{' (stated by a third party)' if file.third_party else ''}")
        if not file.hashes:
            typer.echo("  no hash is published: what comes is said, and recorded beside the file")
        for url in file.urls or ("no address; see the source",):
            typer.echo(f"  {url}")
        if file.local:
            typer.echo(f"  or below the folder that VCC_DATA names: {file.local}")
    if entry.stand_in:
        typer.echo(f"\n{entry.stand_in} stands in for it where VCC_DATA has that alone")
    if entry.layout:
        typer.echo(f"\na course data set is built by: python -m data_scripts build {name}")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A data set of the list.")],
    file: Annotated[list[str] | None, typer.Option(help="Only files of this name; * and ? are understood.")] = None,
    downloads: DownloadsOption = DOWNLOADS,
    subset: SubsetOption = False,  # noqa: FBT002
    perturbations: PerturbationsOption = 200,
    cells: CellsOption = 40,
    controls: ControlsOption = 1000,
    genes: GenesOption = 2000,
    seed: SeedOption = 0,
) -> None:
    """Download a data set: checked by size and hash, gone on with where it broke off, also after it was stopped.

    With --subset only a part of a screen is read out of its file, by byte ranges.

    Example: python -m data_scripts fetch vcc2025_train --file "*.csv"
    """
    from data_scripts import download
    from data_scripts.subset.cut import cut
    from data_scripts.transfer.buckets import chosen
    from starter.files import check_room

    entry = data_set(name)
    _introduce(entry)
    if subset:
        part = _part_of(entry, perturbations, cells, controls, genes, seed)
        typer.echo(f"{cut(entry, downloads, part, downloads)}")
        return
    wanted = chosen(entry.files, file or [])
    due = [one for one in wanted if download.at_hand(one, downloads) is None]
    size = sum(one.bytes or 0 for one in due)
    known = "size not stated" if _unknown(due) and not size else _size(size) + (" or more" if _unknown(due) else "")
    typer.echo(f"{counted(len(wanted), 'file')}, {len(due)} to download{f' ({known})' if due else ''}\n")
    check_room(downloads, size)
    for one in wanted:
        typer.echo(f"{download.fetch(one, downloads)}")


@app.command()
def build(
    name: Annotated[str, typer.Argument(help="A screen, prior or embedding of the list.")],
    out: Annotated[Path | None, typer.Option(help="The folder to write; default: screens/NAME, or priors.")] = None,
    downloads: DownloadsOption = DOWNLOADS,
    subset: SubsetOption = False,  # noqa: FBT002
    perturbations: PerturbationsOption = 200,
    cells: CellsOption = 40,
    controls: ControlsOption = 1000,
    genes: GenesOption = 2000,
    seed: SeedOption = 0,
    of_genes: Annotated[
        Path | None,
        typer.Option(
            help="Of a prior or an embedding: a course data set, or a list of symbols, whose genes it is for."
        ),
    ] = None,
) -> None:
    """Build a course data set of a screen, profiles of a pseudobulk file, or what a prior or embedding knows of genes.

    Example: python -m data_scripts build replogle_k562_essential --subset
    """
    from data_scripts.priors import embeddings, gene_tables
    from data_scripts.priors.build import coverage, read_genes
    from data_scripts.screens import build as screens
    from data_scripts.screens import bulk, papalexi, summaries

    entry = data_set(name)
    _introduce(entry)
    part = _part_of(entry, perturbations, cells, controls, genes, seed) if subset else None
    folder = out or Path("screens") / name
    if name in bulk.CONTEXTS:
        path, table = bulk.build(name, folder, downloads)
        typer.echo(f"wrote {path}: profiles of {len(table) - 1:,} perturbations x {table.shape[1]:,} genes")
        typer.echo(
            f"what is known of its genes is in {folder / 'priors'}; docs/instructor.md says what profiles are good for"
        )
    elif name in summaries.SUMMARIES:
        path, table = summaries.build(name, out or Path("priors"), downloads)
        typer.echo(f"wrote {path}: {len(table):,} rows; notebook 10 shows it where it is in the course's priors/")
    elif entry.kind != "screen":
        if of_genes is None:
            msg = f"say whose genes {name} is for: --of-genes my_screen.h5ad"
            raise InputError(msg)
        wanted, folder = read_genes(of_genes), out or Path("priors")
        if entry.kind == "prior":
            path, table = gene_tables.build(name, wanted, folder, downloads)
        else:
            path, table = embeddings.build(name, wanted, folder, downloads)
        typer.echo(f"wrote {path}: {len(table):,} rows, of {len(wanted):,} genes that were asked for")
    else:
        if name == papalexi.NAME:
            path = papalexi.build(folder)
        else:
            path, report = screens.build(name, folder, downloads, part)
            typer.echo(str(report))
        its_genes = read_genes(path)
        say_coverage(coverage(its_genes, folder / "priors"), len(its_genes))
        say_course(path, folder / "priors")


def say_coverage(known: Mapping[str, int], n_genes: int) -> None:
    """Print how many genes each source of prior knowledge knows."""
    for name, n_known in known.items():
        typer.echo(f"{name}: {n_known:,} of {n_genes:,} genes")


def say_course(path: Path, priors: Path) -> None:
    """Print what `course.toml` has for a screen."""
    typer.echo(
        f'wrote {path}; for a course on it, course.toml has\n\n[data]\nscreen = "{path}"\n'
        f'split = "{path.with_suffix(".split.json")}"\npriors = "{priors}"\n\nwith paths from the folder of course.toml'
    )


def _part_of(entry: DataSet, *sizes: int) -> "Part":
    """Give the part that was asked for, or refuse where no part can be had."""
    from data_scripts.subset.cells import Part

    if not entry.layout:
        msg = f"no part of {entry.name} can be had, since no layout of its cells is known; leave out --subset"
        raise InputError(msg)
    return Part(*sizes)


def _introduce(entry: DataSet) -> None:
    """Say what a data set is and whose, before anything of it is downloaded."""
    typer.echo(f"{entry.name}: {entry.title}\nlicence: {entry.licence}\nsource: {entry.source}\ncite: {entry.citation}")
    if entry.note:
        typer.echo(f"note: {entry.note}")
    typer.echo("")


def _state(entry: DataSet, downloads: Path) -> str:
    states = [_state_of(file, downloads) for file in entry.files]
    if len(set(states)) == 1:
        return states[0]
    return f"{sum(state not in ('', NOT_HERE) for state in states)} of {len(states)} files"


def _state_of(file: RemoteFile, downloads: Path) -> str:
    """Say whether a file is there, by its size alone: hashes are compared when it is used."""
    import os

    from data_scripts.download import LOCAL_VARIABLE
    from data_scripts.transfer.receive import PART

    if "*" in file.name:
        return f"{len(list(downloads.glob(file.name)))} files" if list(downloads.glob(file.name)) else NOT_HERE
    if (downloads / file.name).is_file():
        return "here"
    if (root := os.environ.get(LOCAL_VARIABLE)) and file.local and (Path(root) / file.local).is_file():
        return LOCAL_VARIABLE
    part = downloads / (file.name + PART)
    if not part.is_file():
        return NOT_HERE
    size = part.stat().st_size
    return f"{size / file.bytes:.0%} of it" if file.bytes else f"{_size(size)} of it"


def _unknown(files: list[RemoteFile]) -> bool:
    return any(file.bytes is None for file in files)


def _number(n: int | None) -> str:
    return "?" if n is None else f"{n:,}"


def _size(n: int) -> str:
    """Write bytes for people.

    >>> _size(10_661_879_995), _size(2_824)
    ('10.7 GB', '2.8 kB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= scale:
            return f"{n / scale:.1f} {unit}"
    return f"{n} B"
