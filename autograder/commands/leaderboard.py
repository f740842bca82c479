"""The class's leaderboard."""

from pathlib import Path
from typing import Annotated

import typer

from autograder.commands.options import HERE, CourseOption


def tokens(
    names: Annotated[list[str] | None, typer.Argument(help="Teams that get a new token; the old one is void.")] = None,
    instructor: Annotated[bool, typer.Option(help="A new token for the instructor too.")] = False,
    course: CourseOption = HERE,
) -> None:
    """Make tokens, by which teams enter the leaderboard.

    A line each: name, tab, token.
    Without names, every team of the roster that has none gets one, and so does the instructor. Tokens are shown once
    and kept as hashes; who lost one gets a new one.

    Example: autograder tokens > tokens.tsv
    """
    from sqlalchemy import select

    from autograder.course import read_course
    from autograder.leaderboard.accounts import check_name, make_tokens, teams_of
    from autograder.leaderboard.board import board_of
    from autograder.leaderboard.store import open_board, session
    from autograder.leaderboard.tables import INSTRUCTOR, TEAM, Account

    opened = read_course(course)
    engine = open_board(board_of(opened).url)
    teams = teams_of(opened)
    for name in names or ():
        check_name(name)
        if teams and name not in teams:
            msg = f"{name} is no team of the roster, and no student who is in none"
            raise typer.BadParameter(msg)
    with session(engine) as now:
        known = set(now.scalars(select(Account.name)))
    due = list(names) if names else [name for name in teams if name not in known]
    made = make_tokens(engine, due, TEAM)
    if instructor or (not names and INSTRUCTOR not in known):
        made |= make_tokens(engine, [INSTRUCTOR], INSTRUCTOR)
    for name, token in made.items():
        typer.echo(f"{name}\t{token}")
    if not made:
        typer.echo("every team has its token; name a team to give it a new one", err=True)


def serve(
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 for all, behind a proxy with TLS.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port.")] = 8000,
    jobs: Annotated[
        int, typer.Option(min=1, help="Entries at the same time: one is opened while another is scored.")
    ] = 2,
    dask: Annotated[
        str | None, typer.Option(help="Score on the workers of this Dask scheduler, tcp://HOST:PORT (docs/cluster.md).")
    ] = None,
    proxy: Annotated[
        str | None,
        typer.Option(help="A proxy elsewhere that is believed who asks, and that by TLS: 172.17.0.1, or a net."),
    ] = None,
    course: CourseOption = HERE,
) -> None:
    """Serve the class's leaderboard.

    Teams enter with their tokens (autograder tokens), upload predictions, and see them checked, scored and ranked. The
    pages come from a process that sees neither truth nor secret; entries are scored beside it, in the sandbox. A part
    that dies is started again, and what was accepted is never lost. Ctrl-C ends it.

    Example: autograder serve --port 8000
    """
    from autograder.course import read_course
    from autograder.leaderboard.board import board_of
    from autograder.leaderboard.serve import serve as serve_board

    board = board_of(read_course(course))
    typer.echo(f"the leaderboard of {board.stage} comes to http://{host}:{port} in some seconds; Ctrl-C ends it")
    serve_board(board, host, port, jobs, dask, proxy, typer.echo)


def board(
    folder: Annotated[Path, typer.Argument(help="Where the pages go: a new folder, or one written so before.")],
    course: CourseOption = HERE,
) -> None:
    """Write the ranking as pages that need no server.

    For a course that is not served: what autograder grade graded of the leaderboard's stage is scored and ranked as
    uploads are, and what was ranked before is not scored again. Where teams have tokens, the pages show the board that
    is served, as it is now. After the board's end they show the final ranking. Publish the folder where you like, or
    open its index.html; it names teams, and students who are in none.

    Example: autograder board ranking
    """
    from sqlalchemy import select

    from autograder.course import read_course
    from autograder.leaderboard.board import board_of
    from autograder.leaderboard.graded import rank_graded
    from autograder.leaderboard.store import open_board, session
    from autograder.leaderboard.tables import Account
    from autograder.leaderboard.web.export import write_pages
    from autograder.leaderboard.web.site import Site

    opened = read_course(course)
    ranked = board_of(opened)
    engine = open_board(ranked.url)
    with session(engine) as now:
        served = now.scalar(select(Account.name).limit(1)) is not None
    if not served:
        ranked = board_of(opened, served=False)
        engine = open_board(ranked.url)
        for sentence in rank_graded(ranked, engine, typer.echo):
            typer.echo(f"left out: {sentence}", err=True)
    zone = getattr(opened.zone(ranked.stage), "key", "UTC")
    most = opened.limits.prediction_mib << 20
    site = Site(engine, ranked.web, ranked.title, ranked.settings.per_day, most, ranked.ends, zone)
    names = write_pages(site, folder)
    typer.echo(f"wrote {', '.join(names)} to {folder}")
