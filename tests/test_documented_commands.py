"""Every command that the documents name is there, with its options; blocks of TOML and Python can be read."""

import ast
import importlib
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest
import typer
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
APPS = {"starter": "starter.cli", "autograder": "autograder.cli", "data_scripts": "data_scripts.__main__"}
HOUSES = ("starter", "autograder", "data_scripts", "benchmarks")
PROGRAMS = ("starter", "autograder", "make", "python")


def blocks(text: str, *kinds: str) -> list[str]:
    found = re.finditer(rf"(?ms)^(?P<indent> *)```(?:{'|'.join(kinds)})\n(?P<body>.*?)^ *```$", text)
    return [re.sub(rf"(?m)^{block['indent']}", "", block["body"]) for block in found]


def commands(text: str) -> list[tuple[list[str], bool]]:
    """List the commands of a page as words, and whether each is whole: in a block, and not in the middle of a line."""
    found = []
    for block in blocks(text, "sh", "bash", "powershell"):
        for line in block.replace("\\\n", " ").splitlines():
            found += [(words, True) for words in _commands_of(line)]
    for span in re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^ *```.*?^ *```$", "", text)):
        found += [(words, False) for words in _commands_of(span)]
    return found


def _commands_of(line: str) -> list[list[str]]:
    try:
        lexer = shlex.shlex(line.replace(".venv\\Scripts\\", ".venv/bin/"), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:
        return []
    found: list[list[str]] = [[]]
    for word in words:
        if set(word) <= set("|&;<>()"):
            found.append([])
        else:
            found[-1].append(word)
    for command in found:
        while command and re.fullmatch(r"[A-Z_]+=\S*", command[0]):
            command.pop(0)
    named = [[command[0].removeprefix(".venv/bin/"), *command[1:]] for command in found if len(command) > 1]
    return [command for command in named if command[0] in PROGRAMS]


def fault(words: list[str], *, whole: bool) -> str:
    """Say what is wrong with a command; empty if nothing."""
    program, *arguments = words
    if program == "make":
        makefile = (ROOT / "Makefile").read_text()
        lost = [word for word in arguments if "=" not in word and not re.search(rf"(?m)^{word}\b[^=\n]*:", makefile)]
        lost += [
            word for word in arguments if "=" in word and not re.search(rf"\b{word.partition('=')[0]}\b", makefile)
        ]
        return f"make has no {lost}" if lost else ""
    if program == "python":
        if arguments[0].endswith(".py"):
            return "" if (ROOT / arguments[0]).is_file() or "/" not in arguments[0] else f"no file {arguments[0]}"
        if arguments[0] != "-m" or arguments[1].split(".")[0] not in (
            "starter",
            "autograder",
            "data_scripts",
            "benchmarks",
        ):
            return ""
        name = arguments[1]
        path = ROOT / name.replace(".", "/")
        if not (path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()):
            return f"no module {name}"
        if name not in APPS:
            return ""
        program, arguments = name, arguments[2:]
    app = importlib.import_module(APPS[program]).app
    return _wrong(typer.main.get_command(app), program, arguments, whole=whole)


def _wrong(command: click.Command, name: str, arguments: list[str], *, whole: bool) -> str:
    context = command.context_class(command, info_name=name)
    if subcommands := getattr(command, "commands", None):
        if not arguments or arguments[0].startswith("-"):
            known = {option for parameter in command.get_params(context) for option in parameter.opts}
            return "" if not arguments or arguments[0] in known | {"--debug"} else f"{name} has no {arguments[0]}"
        if arguments[0] not in subcommands:
            return "" if re.fullmatch(r"[A-Z.…]+", arguments[0]) else f"{name} has no command {arguments[0]}"
        return _wrong(subcommands[arguments[0]], f"{name} {arguments[0]}", arguments[1:], whole=whole)
    arguments = [word for word in arguments if word not in ("--debug", "--help", "...", "…")]
    if whole:
        try:
            values, left, _ = command.make_parser(context).parse_args(args=arguments)
        except Exception as error:  # noqa: BLE001 - typer has click's errors, or its own of the same names
            return f"{name}: {error}"
        missing = [
            parameter.name
            for parameter in command.get_params(context)
            if parameter.param_type_name == "argument" and parameter.required and not values.get(parameter.name)
        ]
        return f"{name}: too much: {left}" if left else f"{name} lacks {missing}" if missing else ""
    known = {o for parameter in command.get_params(context) for o in (*parameter.opts, *parameter.secondary_opts)}
    lost = [word for word in arguments if word.startswith("--") and word.partition("=")[0] not in known]
    return f"{name} has no {lost}" if lost else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_the_docs_are_there(page: Path):
    found = commands(page.read_text(encoding="utf-8"))
    faults = [f"{' '.join(words)}: {said}" for words, whole in found if (said := fault(words, whole=whole))]
    assert not faults


def test_there_are_commands():
    assert sum(len(commands(page.read_text(encoding="utf-8"))) for page in PAGES) > 150


@pytest.mark.parametrize(
    "line",
    [
        "starter chek FILE",
        "starter check FILE --no-such-option",
        "starter pack",
        "autograder grade 04_baselines --forse",
        "make tests-of-everything",
        "make demo DATENSATZ=k562",
        "python -m data_scripts fetchh NAME",
        "python -m benchmarks.no_such_module",
        ".venv/bin/starter check a.h5ad b.h5ad c.h5ad d.h5ad",
    ],
)
def test_a_wrong_command_is_seen(line: str):
    ((words, whole),) = commands(f"```sh\n{line}\n```\n")
    assert fault(words, whole=whole)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_can_be_read(page: Path):
    text = page.read_text(encoding="utf-8")
    for block in blocks(text, "toml"):
        tomllib.loads(block)
    for block in blocks(text, "python", "ipython"):
        ast.parse(TransformerManager().transform_cell(block))
