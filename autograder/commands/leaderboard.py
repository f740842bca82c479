"""The class's leaderboard."""

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
    jobs: Annotated[int, typer.Option(min=1, help="Entries that are opened at the same time.")] = 1,
    dask: Annotated[
        str | None, typer.Option(help="Score on the workers of this Dask scheduler, tcp://HOST:PORT (docs/cluster.md).")
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
    serve_board(board, host, port, jobs, dask, typer.echo)
