import ast

import pytest

from starter.blanks.cell_names import names_of


@pytest.mark.parametrize(
    ("cell", "needed", "made", "changed"),
    [
        ("y = x + 1", "x", "y", ""),
        ("x = 1\ny = x", "", "x y", ""),
        ("x = x + 1", "x", "x", ""),
        ("total += x", "total x", "total", ""),
        ("import a.b as c, d.e\nfrom f import g", "", "c d g", ""),
        ("def f(a=x):\n    return y", "x", "f", ""),
        ("@wrap\nclass A(B):\n    z = w\n    def f(self):\n        return v", "wrap B w", "A", ""),
        ("[x for x in xs if x in good]", "xs good", "", ""),
        ("sorted(xs, key=lambda x: rank[x])", "sorted xs rank", "", ""),
        ("for i, x in enumerate(xs):\n    last = x", "enumerate xs", "i x last", ""),
        (
            "for x in xs:\n    if x > low:\n        total = total + x\nelse:\n    print(x)",
            "xs low total print",
            "x total",
            "",
        ),
        ("try:\n    y = f(x)\nexcept ValueError:\n    y = z\nfinally:\n    print(y)", "f x z print", "y", ""),
        ("with a, b(c) as (d, e):\n    d(e)", "a b c", "d e", ""),
        ("with open(p) as f:\n    t = f.read()", "open p", "f t", ""),
        ("scores['a'].loc[0] = x", "scores x", "", "scores"),
        ("def f():\n    scores['a'] = 1", "", "f", ""),
        ("model.rate = 1", "model", "", "model"),
        ("await x", "x", "", ""),
        ("(n := len(xs))", "len xs", "n", ""),
    ],
)
def test_names_that_a_cell_needs_makes_and_changes(cell: str, needed: str, made: str, changed: str):
    assert names_of(ast.parse(cell).body) == tuple(frozenset(names.split()) for names in (needed, made, changed))
