from pathlib import Path

import anndata
from cell_screens import screen, store
from typer.testing import CliRunner

from data_scripts.__main__ import app
from data_scripts.history.ancestors import State, read_output


def run(*arguments: object) -> str:
    ended = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_from_screens_to_pseudobulk_with_a_lineage_all_the_way(tmp_path: Path):
    paths = [store(screen(n, seed=n), tmp_path / f"plate{n}.h5ad") for n in (30, 20)]
    pieces, out = tmp_path / "pieces", tmp_path / "pseudobulk.h5ad"
    said = run("pieces", "write", *paths, "--out", pieces, "--cells", 25, "--kind", "h5ad")
    assert said.startswith(f"wrote 50 cells x 7 genes to {pieces}")
    said = run("pieces", "sums", pieces, "--out", out)
    found = anndata.read_h5ad(out)
    assert said == f"wrote {found.n_obs} groups of 50 cells to {out}\n"
    assert found.obs.loc[found.obs["batch"] == "all", "n_cells"].sum() == 50
    made = read_output(out)
    names = ["pseudobulk.h5ad", "pieces.json", "plate30.h5ad", "plate20.h5ad"]
    assert [(one.name, one.state) for one in made.all()] == [(name, State.same) for name in names]
    assert "agrees with its lineage\n" in run("verify", out)
    tree = run("lineage", out, "--out", tmp_path / "a.svg", "--croissant", tmp_path / "a.json")
    assert all(name in tree for name in names)
    assert (tmp_path / "a.svg").is_file()
    assert (tmp_path / "a.json").is_file()
