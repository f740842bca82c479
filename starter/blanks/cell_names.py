"""Which names a cell's statements need, and which they make or change."""

import ast
import symtable
from collections.abc import Iterable, Iterator
from typing import NamedTuple

AT_ONCE = ("lambda", "genexpr", "listcomp", "setcomp", "dictcomp")
"""Scopes within a statement that run with it, as functions do not; most lambdas are called at once."""


class Names(NamedTuple):
    """Names of a cell's own level, of one statement or of several in a row."""

    needed: frozenset[str]
    """Read before the statements make them."""
    made: frozenset[str]
    changed: frozenset[str]
    """Whose items or attributes are set."""


def names_of(statements: Iterable[ast.stmt]) -> Names:
    """Give the names of statements that run one after the other; what functions need when called is left out."""
    needed, made, changed = frozenset[str](), frozenset[str](), frozenset[str]()
    for simple in (part for statement in statements for part in _simple(statement)):
        own = _of_statement(simple)
        needed, made, changed = needed | (own.needed - made), made | own.made, changed | own.changed
    return Names(needed, made, changed)


def _simple(statement: ast.stmt) -> Iterator[ast.stmt]:
    """Take loops, conditions and the like apart into what runs first, what then."""
    if isinstance(statement, ast.For | ast.AsyncFor):
        yield ast.Assign([statement.target], statement.iter, lineno=statement.lineno)
    elif isinstance(statement, ast.With | ast.AsyncWith):
        for item in statement.items:
            given, as_name = item.context_expr, item.optional_vars
            yield ast.Expr(given) if as_name is None else ast.Assign([as_name], given, lineno=statement.lineno)
    elif isinstance(statement, ast.If | ast.While):
        yield ast.Expr(statement.test)
    elif not isinstance(statement, ast.Try):
        yield statement
        return
    parts = [getattr(statement, part, []) for part in ("body", "orelse", "finalbody")]
    parts[1:1] = [handler.body for handler in getattr(statement, "handlers", [])]
    for inner in (inner for part in parts for inner in part):
        yield from _simple(inner)


def _of_statement(statement: ast.stmt) -> Names:
    try:
        table = symtable.symtable(ast.unparse(statement), "cell", "exec")
    except SyntaxError:  # what only a notebook may do, such as await outside of a function
        return Names(frozenset(), frozenset(), frozenset())
    here = table.get_symbols()
    made = {name.get_name() for name in here if name.is_assigned() or name.is_imported() or name.is_namespace()}
    needed = {name.get_name() for name in here if name.is_referenced()} | set(_needed_within(table))
    changed = set()
    for node in _own_level(statement):
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            needed.add(node.target.id)
        if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            changed.update(_root(node))
    return Names(frozenset(needed), frozenset(made), frozenset(changed))


def _needed_within(table: symtable.SymbolTable) -> Iterator[str]:
    for child in table.get_children():
        if child.get_type() == "class" or child.get_name().strip("<>") in AT_ONCE:
            yield from (name.get_name() for name in child.get_symbols() if name.is_global() and name.is_referenced())
            yield from _needed_within(child)


def _own_level(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a statement, but not into functions."""
    yield node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _own_level(child)


def _root(node: ast.expr) -> Iterator[str]:
    """Give the `answers` of `answers["ridge"].loc[0]`."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id
