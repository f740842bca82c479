"""Season 2026: counts in three contexts, without controls, with the challenge's own `vcc prep` run live beside ours."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import zstandard
from commands import run
from vcc.prep import PrepError, run_prep
from vcc.vccfile import contexts_from_vcc, nnz_from_vcc, validate_vcc

from starter.data.write import write_h5ad
from starter.errors import FindingsError, InputError
from starter.files import sha256
from starter.prediction import check, pack
from starter.prediction.check import check_prediction
from starter.prediction.requirements import Requirements, requirements_of_lists
from starter.prediction.season import SEASON_2025, SEASON_2026, get_season
from starter.prediction.vcc import season_of, unpacked

GENES, PERTURBATIONS, CELLS = [f"G{i:02}" for i in range(20)], ["G00", "G01", "G02"], 4


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """The challenge's lists, for a small panel."""
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "gene_names.csv").write_text("gene_name\n" + "\n".join(GENES))
    rows = [f"{label},{CELLS}" for label in PERTURBATIONS]
    (folder / "pert_counts.csv").write_text("\n".join(["target_gene,n_cells", *rows]))
    manifest = {"season": 2026, "partition": "val", "panel_id": "small", "contexts": ["A", "B", "C"]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def due(lists: Path) -> Requirements:
    return requirements_of_lists(lists / "gene_names.csv", lists / "pert_counts.csv")


@pytest.fixture
def counts() -> anndata.AnnData:
    """A prediction without fault."""
    pairs = [(label, context) for context in "ABC" for label in PERTURBATIONS for _ in range(CELLS)]
    obs = pd.DataFrame(pairs, columns=["target_gene", "context"], index=[f"cell{i}" for i in range(len(pairs))])
    x = np.random.default_rng(0).poisson(2, (len(pairs), len(GENES))).astype(np.float32)
    x[:, 0] += 1
    return anndata.AnnData(scipy.sparse.csr_matrix(x), obs, pd.DataFrame(index=GENES))


def write(adata: anndata.AnnData, folder: Path) -> Path:
    adata.write_h5ad(folder / "pred.h5ad")
    return folder / "pred.h5ad"


def errors(path: Path, due: Requirements | None, year: int | None = 2026) -> list[str]:
    return [str(finding) for finding in check_prediction(path, due, year) if finding.level == "error"]


def prep(path: Path, lists: Path, **options: object) -> object:
    """Run the challenge's own check (and packing, unless `dry_run`)."""
    contexts = tuple(json.loads((lists / "manifest.json").read_text())["contexts"])
    files = {"genes_path": str(lists / "gene_names.csv"), "perts_path": str(lists / "pert_counts.csv")}
    return run_prep(input_path=str(path), **files, required_contexts=contexts, expected_gene_dim=None, **options)


def content(path: Path) -> tuple[dict, anndata.AnnData]:
    with tarfile.open(path, "r:") as archive:
        assert archive.getnames() == ["meta.json", "pred.h5ad.zst"]
        meta = json.load(archive.extractfile("meta.json"))
    with unpacked(path) as file:
        return meta, anndata.read_h5ad(file)


def assert_same(ours: Path, theirs: Path) -> None:
    (our_meta, our_cells), (their_meta, their_cells) = content(ours), content(theirs)
    assert our_meta == their_meta
    assert (our_cells.X != their_cells.X).nnz == 0
    assert our_cells.X.dtype == their_cells.X.dtype == np.float32
    assert our_cells.X.indices.dtype == our_cells.X.indptr.dtype
    pd.testing.assert_frame_equal(our_cells.obs, their_cells.obs)
    pd.testing.assert_frame_equal(our_cells.var, their_cells.var)
    assert not (our_cells.uns or our_cells.layers or our_cells.obsm or our_cells.raw)


@pytest.fixture
def toy(vcc_parity: Path) -> Path:
    return vcc_parity / "vcc_cli"


@pytest.fixture
def toy_due(toy: Path) -> Requirements:
    """What the toy was packed for: `--cells-per-pert 5`."""
    due = requirements_of_lists(toy / "gene_names.csv", toy / "pert_counts.csv")
    return replace(due, n_cells=dict.fromkeys(due.n_cells, 5))


def test_what_vcc_cli_packed_is_read(toy: Path, toy_due: Requirements):
    with unpacked(toy / "toy.vcc", len(toy_due.genes)) as file:
        packed = anndata.read_h5ad(file)
    assert (packed.X != anndata.read_h5ad(toy / "pred.h5ad").X).nnz == 0
    assert season_of(toy / "toy.vcc") == SEASON_2026
    assert [(finding.level, finding.what) for finding in check_prediction(toy / "toy.vcc", toy_due)] == [
        ("warning", "the list has 50 genes, and that of season 2026 has 18,533")
    ]


def test_ours_equals_what_vcc_cli_packed(toy: Path, toy_due: Requirements, tmp_path: Path):
    pack.pack(toy / "pred.h5ad", tmp_path / "ours.vcc", toy_due, 2026)
    assert_same(tmp_path / "ours.vcc", toy / "toy.vcc")
    validate_vcc(tmp_path / "ours.vcc")


def test_ours_is_sound_to_vcc_cli(counts: anndata.AnnData, due: Requirements, lists: Path, tmp_path: Path):
    pack.pack(write(counts, tmp_path), tmp_path / "ours.vcc", due, 2026)
    validate_vcc(tmp_path / "ours.vcc")
    assert nnz_from_vcc(tmp_path / "ours.vcc") == counts.X.nnz
    assert contexts_from_vcc(tmp_path / "ours.vcc") == ("A", "B", "C")
    with unpacked(tmp_path / "ours.vcc") as file:
        result = prep(file, lists, dry_run=True)
    assert (result.n_cells, result.normalization, result.reordered_genes) == (36, "counts-preserved", False)
    assert check_prediction(tmp_path / "ours.vcc", due)[1:] == []


def as_int64(adata: anndata.AnnData) -> anndata.AnnData:
    adata.X = adata.X.astype(np.int64)
    return adata


def dense(adata: anndata.AnnData) -> anndata.AnnData:
    adata.X = adata.X.toarray().astype(np.float64)
    return adata


def by_genes(adata: anndata.AnnData) -> anndata.AnnData:
    adata.X = adata.X.tocsc()
    return adata


def with_more(adata: anndata.AnnData) -> anndata.AnnData:
    adata.obs["batch"], adata.var["n"], adata.uns["x"] = "b", 1, {"y": 1}
    adata.layers["logs"], adata.obsm["pca"] = adata.X.copy(), np.zeros((adata.n_obs, 2))
    return adata


@pytest.mark.parametrize(
    "change",
    [
        lambda adata: adata,
        lambda adata: adata[np.random.default_rng(1).permutation(adata.n_obs)].copy(),
        lambda adata: adata[:, ::-1].copy(),
        as_int64,
        dense,
        by_genes,
        with_more,
    ],
)
def test_ours_equals_what_vcc_cli_packs_live(
    counts: anndata.AnnData, due: Requirements, lists: Path, tmp_path: Path, change: Callable
):
    path = write(change(counts), tmp_path)
    prep(path, lists, output_path=str(tmp_path / "theirs.vcc"), panel_id="small")
    findings = pack.pack(path, tmp_path / "ours.vcc", due, 2026)
    assert_same(tmp_path / "ours.vcc", tmp_path / "theirs.vcc")
    reordered = list(anndata.read_h5ad(path).var_names) != GENES
    assert reordered == ("the genes were put in the order of the list" in map(str, findings))
    theirs = [finding for finding in check_prediction(tmp_path / "theirs.vcc", due) if finding.level != "warning"]
    assert theirs == []


def test_the_command_vcc_prep_packs_the_same(counts: anndata.AnnData, due: Requirements, lists: Path, tmp_path: Path):
    path = write(counts, tmp_path)
    options = ["-g", lists / "gene_names.csv", "--perts", lists / "pert_counts.csv", "-o", tmp_path / "theirs.vcc"]
    subprocess.run([sys.executable, "-m", "vcc", "prep", path, *options], check=True, capture_output=True)
    pack.pack(path, tmp_path / "ours.vcc", due, 2026)
    assert_same(tmp_path / "ours.vcc", tmp_path / "theirs.vcc")


def test_the_same_prediction_gives_the_same_upload(counts: anndata.AnnData, due: Requirements, tmp_path: Path):
    path = write(counts, tmp_path)
    for name in ("a.vcc", "b.vcc"):
        pack.pack(path, tmp_path / name, due, 2026)
    assert sha256(tmp_path / "a.vcc") == sha256(tmp_path / "b.vcc")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.vcc", "b.vcc", "lists", "pred.h5ad"]


def of_first(adata: anndata.AnnData, column: str, value: str, n: int = 1) -> anndata.AnnData:
    adata.obs[column] = adata.obs[column].astype(str)
    adata.obs.iloc[:n, list(adata.obs.columns).index(column)] = value
    return adata


def values(adata: anndata.AnnData, *first: float) -> anndata.AnnData:
    adata.X.data[: len(first)] = first
    return adata


def logs(adata: anndata.AnnData) -> anndata.AnnData:
    adata.X.data = np.log1p(adata.X.data)
    return adata


def renamed(adata: anndata.AnnData, **columns: str) -> anndata.AnnData:
    adata.obs = adata.obs.rename(columns=columns)
    return adata


def with_controls(adata: anndata.AnnData) -> anndata.AnnData:
    control = adata[:6].copy()
    control.obs["target_gene"] = "non-targeting"
    return anndata.concat([adata, control], index_unique="-")


def empty(adata: anndata.AnnData) -> anndata.AnnData:
    keep = adata.obs["target_gene"].to_numpy() != "G01"
    adata.X = scipy.sparse.csr_matrix(adata.X.multiply(keep[:, None]), dtype=np.float32)
    return adata


def other_genes(adata: anndata.AnnData) -> anndata.AnnData:
    adata.var_names = ["X1", "X2", *GENES[2:]]
    return adata


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda adata: values(adata, np.nan, np.inf), ["NaN in X: 1; infinite values: 1; write finite numbers"]),
        (lambda adata: values(adata, -1), ["negative values in X: 1 (lowest -1); expression is never below 0"]),
        (
            lambda adata: values(adata, 2.5, 20),
            ["X holds fractions (up to 0.5) and values up to 20; round to whole counts"],
        ),
        (lambda adata: values(adata, 2.99999), ["X holds fractions (up to 1) and values up to"]),
        (logs, ["it looks like log1p expression; write raw counts, not their logs"]),
        (
            with_controls,
            ["control cells: 6 are labelled 'non-targeting'; leave them out; the scorer takes the measured ones"],
        ),
        (
            lambda adata: adata[adata.obs["context"] != "C"].copy(),
            ["the contexts are not A, B, C: missing 1 (C); label every cell as the challenge's control cells are"],
        ),
        (
            lambda adata: of_first(adata, "context", "D", CELLS),
            ["the contexts are not A, B, C: extra 1 (D)", "perturbations missing: 1 (G00 in A)"],
        ),
        (
            lambda adata: renamed(adata, context="cell_line"),
            ["obs has no column 'context'; its columns are target_gene, cell_line; name the column of contexts"],
        ),
        (
            lambda adata: renamed(adata, target_gene="gene"),
            ["obs has no column 'target_gene'; its columns are gene, context; name the column of perturbations"],
        ),
        (
            lambda adata: adata[(adata.obs["target_gene"] != "G02") | (adata.obs["context"] != "B")].copy(),
            ["perturbations missing: 1 (G02 in B); predict all of them in every context"],
        ),
        (
            lambda adata: of_first(adata, "target_gene", "G07", CELLS),
            ["perturbations missing: 1 (G00 in A)", "perturbations that are not due: 1 (G07); leave them out"],
        ),
        (
            lambda adata: of_first(adata, "target_gene", "G00-1", CELLS),
            [
                "perturbations missing: 1 (G00 in A)",
                "perturbations that are not due: 1 (G00-1); a label is the gene's symbol, without the number of",
                "1 of 1 target hold more than a gene symbol, or doubles not written A+B: 'G00-1' is G00",
            ],
        ),
        (
            lambda adata: adata[1:].copy(),
            ["perturbations with another number of cells than due: 1 (G00 in A has 3, due 4); write exactly as many"],
        ),
        (empty, ["labels with empty cells only: 1 (G01); write the predicted expression of each"]),
        (other_genes, ["genes missing: 2 (G00, G01); predict every gene", "genes that are not due: 2 (X1, X2)"]),
        (lambda adata: adata[:, 2:].copy(), ["genes missing: 2 (G00, G01); predict every gene"]),
        (
            lambda adata: values(adata, 999_990),
            ["cells whose counts add up to more than 1,000,000: 1 (most: 1,000,0"],
        ),
    ],
)
def test_what_vcc_cli_refuses_is_refused_with_the_reason(
    counts: anndata.AnnData, due: Requirements, lists: Path, tmp_path: Path, change: Callable, said: list[str]
):
    path = write(change(counts), tmp_path)
    found = errors(path, due)
    assert len(found) == len(said), found
    for message, part in zip(found, said, strict=True):
        assert part in message
    with pytest.raises(PrepError):
        prep(path, lists, dry_run=True)
    with pytest.raises(FindingsError):
        pack.pack(path, tmp_path / "x.vcc", due, 2026)
    assert not (tmp_path / "x.vcc").exists()


def test_everything_is_reported_at_once(counts: anndata.AnnData, due: Requirements, tmp_path: Path):
    counts = with_controls(values(counts[counts.obs["context"] != "C", 1:].copy(), np.nan, -1, 0.5))
    counts = counts[3:].copy()
    counts.X.data[:3] = [np.nan, -1, 0.5]
    assert [message.split(":")[0] for message in errors(write(counts, tmp_path), due)] == [
        "genes missing",
        "control cells",
        "the contexts are not A, B, C",
        "perturbations with another number of cells than due",
        "NaN in X",
        "negative values in X",
        "X holds fractions (up to 0.5) and values up to 9; it looks like log1p expression; write raw counts, "
        "not their logs",
    ]


def test_numbers_at_the_edge_pass_as_they_pass_vcc_cli(
    counts: anndata.AnnData, due: Requirements, lists: Path, tmp_path: Path
):
    """A cell of exactly a million counts, and a float32 that is just above a whole number."""
    first = counts.X.indptr[1]
    counts.X.data[0] = 1_000_000 - counts.X.data[1:first].sum()
    counts.X.data[first] = np.nextafter(np.float32(2), np.float32(3))
    path = write(counts, tmp_path)
    prep(path, lists, dry_run=True)
    assert errors(path, due) == []


def test_a_perturbation_that_is_empty_in_one_context(counts: anndata.AnnData, due: Requirements, tmp_path: Path):
    x = counts.X.tolil()
    x[((counts.obs["target_gene"] == "G01") & (counts.obs["context"] == "B")).to_numpy()] = 0
    counts.X = x.tocsr()
    findings = check_prediction(write(counts, tmp_path), due, 2026)
    assert [(finding.level, finding.what) for finding in findings][1:] == [
        ("warning", "perturbations with empty cells only in one context: 1 (G01 in B)")
    ]


def test_entries_stored_twice_are_refused(counts: anndata.AnnData, due: Requirements, tmp_path: Path):
    path = write(counts, tmp_path)
    with h5py.File(path, "r+") as file:
        file["X"]["indices"][1] = file["X"]["indices"][0]
    assert [message.split(";")[0] for message in errors(path, due)] == [
        "X stores entries of one cell and gene more than once"
    ]


def test_a_list_without_numbers_of_cells_asks_for_400(counts: anndata.AnnData, lists: Path, tmp_path: Path):
    (lists / "pert_counts.csv").write_text("\n".join(["target_gene", *PERTURBATIONS]))
    due = requirements_of_lists(lists / "gene_names.csv", lists / "pert_counts.csv")
    found = errors(write(counts, tmp_path), due)
    assert found[0].startswith("perturbations with another number of cells than due: 9 (G00 in A has 4, due 400, ")
    with pytest.raises(PrepError, match="expected 400"):
        prep(tmp_path / "pred.h5ad", lists, dry_run=True)


def test_the_final_phase(counts: anndata.AnnData, due: Requirements, lists: Path, tmp_path: Path):
    """Without a manifest either phase will do; with one, only its own."""
    counts.obs["context"] = counts.obs["context"].map({"A": "D", "B": "E", "C": "F"})
    path = write(counts, tmp_path)
    assert errors(path, due)[0].startswith("the contexts are not A, B, C: missing 3 (A, B, C), extra 3 (D, E, F)")
    (lists / "manifest.json").unlink()
    due = requirements_of_lists(lists / "gene_names.csv", lists / "pert_counts.csv")
    findings = pack.pack(path, tmp_path / "final.vcc", due, 2026)
    assert [str(finding) for finding in findings if finding.level == "note"] == [
        "whether contexts D, E, F are those of this phase was not judged; "
        "keep the challenge's manifest.json beside the lists"
    ]
    meta, _ = content(tmp_path / "final.vcc")
    assert meta["contexts"] == ["D", "E", "F"]
    assert "panel_id" not in meta


def test_without_lists_a_prediction_can_be_checked_and_packed(counts: anndata.AnnData, tmp_path: Path):
    path = write(counts, tmp_path)
    assert pack.pack(path, tmp_path / "x.vcc", year=2026) == []
    meta, _ = content(tmp_path / "x.vcc")
    assert set(meta) == {"schema", "nnz", "n_obs", "n_vars", "cli_version", "contexts"}
    assert check_prediction(tmp_path / "x.vcc") == []


def test_the_limits(counts: anndata.AnnData, due: Requirements, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from starter.prediction import season_2026

    assert SEASON_2026.size_limit(18_533) == 4_750_000_000 * 12 + (64 << 20)
    assert SEASON_2026.size_limit(20) == 400_000 * 20 * 12 + (64 << 20)
    small = replace(SEASON_2026, max_cells=10, max_stored=100)
    monkeypatch.setattr(season_2026, "SEASON_2026", small)
    monkeypatch.setattr(check, "SEASON_2026", small)
    monkeypatch.setattr(check, "get_season", lambda year: small)
    found = errors(write(counts, tmp_path), due)
    assert found[0].startswith("it has 36 cells; the limit is 10; write fewer cells")
    assert found[1].startswith(f"X stores {counts.X.nnz} values; the limit is 100; predict fewer expressed genes")


def test_another_season(counts: anndata.AnnData, due: Requirements, good: Path, tmp_path: Path):
    path = write(counts, tmp_path)
    assert errors(path, due, 2025)[0] == (
        "it has contexts and no control cells, as season 2026 asks, and was checked for season 2025; give --season 2026"
    )
    assert errors(good, None, 2026)[0] == (
        "it has control cells and no contexts, as season 2025 asks, and was checked for season 2026; give --season 2025"
    )
    pack.pack(path, tmp_path / "x.vcc", due, 2026)
    assert errors(tmp_path / "x.vcc", due, 2025) == [
        "it is an upload of season 2026 (it holds meta.json), not of 2025; "
        "give --season 2026, or pack the prediction of 2025"
    ]
    pack.pack(good, tmp_path / "old.vcc")
    assert season_of(tmp_path / "old.vcc") == SEASON_2025
    assert errors(tmp_path / "old.vcc", None, 2026) == [
        "it is an upload of season 2025 (it holds watermark.txt), not of 2026; "
        "give --season 2025, or pack the prediction of 2026"
    ]
    with pytest.raises(InputError, match="there is no season 2027; the seasons are 2025, 2026"):
        get_season(2027)


@pytest.fixture
def packed(counts: anndata.AnnData, due: Requirements, tmp_path: Path) -> dict[str, bytes]:
    """The members of a sound upload."""
    pack.pack(write(counts, tmp_path), tmp_path / "sound.vcc", due, 2026)
    with tarfile.open(tmp_path / "sound.vcc", "r:") as tar:
        return {name: tar.extractfile(name).read() for name in tar.getnames()}


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"nnz": 5}, "meta.json does not describe this prediction: nnz 5 for "),
        ({"n_obs": True}, "meta.json does not describe this prediction: n_obs True for 36"),
        ({"n_vars": None}, "meta.json does not describe this prediction: n_vars None for 20"),
        ({"contexts": ["D", "E", "F"]}, "contexts ['D', 'E', 'F'] for ['A', 'B', 'C']"),
        ({"contexts": 3}, "contexts None for ['A', 'B', 'C']"),
        ({"schema": 2}, "meta.json is not of schema 1 (it states 2); pack it again with: starter pack --season 2026"),
        (b"[1]", "meta.json is not of schema 1 (it states None)"),
        (b"{", "meta.json cannot be read ("),
        (b"\xff", "meta.json cannot be read ("),
        (b"[" * 60_000, "meta.json cannot be read ("),
        (b" " * 70_000 + b"{}", "meta.json cannot be read ("),
    ],
)
def test_a_foreign_meta(packed: dict[str, bytes], due: Requirements, tmp_path: Path, change: dict | bytes, said: str):
    if isinstance(change, dict):
        change = json.dumps({**json.loads(packed["meta.json"]), **change}).encode()
    found = errors(archive(tmp_path / "x.vcc", {**packed, "meta.json": change}), due)
    assert len(found) == 1
    assert said in found[0]


def test_a_meta_of_another_list_is_a_warning(packed: dict[str, bytes], due: Requirements, tmp_path: Path):
    path = archive(tmp_path / "x.vcc", packed)
    other = replace(due, fingerprint="sha256:0", panel_id="final")
    assert [finding.what for finding in check_prediction(path, other)][1:] == [
        "it was packed with another list of perturbations (perts_fingerprint, panel_id of meta.json)"
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda members: {"meta.json": b"{}"}, "the archive has no pred.h5ad.zst; pack it again"),
        (
            lambda members: {**members, "watermark.txt": b"vcc-prep"},
            "the archive holds 'watermark.txt', and should hold only meta.json and pred.h5ad.zst; pack it again",
        ),
        (lambda members: {"../meta.json": b"{}", **members}, "the archive holds '../meta.json', and should hold only"),
        (
            lambda members: {**members, "pred.h5ad.zst": members["pred.h5ad.zst"][:-2000]},
            "pred.h5ad.zst is truncated: ",
        ),
        (
            lambda members: {**members, "pred.h5ad.zst": of_unknown_size(members)[:-200]},
            "cannot be read: it is truncated; download or write it again",
        ),
        (
            lambda members: {**members, "pred.h5ad.zst": of_unknown_size(members)[:200]},
            "pred.h5ad.zst is truncated: 0 of unknown bytes came out",
        ),
        (lambda members: {**members, "pred.h5ad.zst": b"not zstandard"}, "pred.h5ad.zst is truncated or damaged"),
        (
            lambda members: {**members, "pred.h5ad.zst": zstandard.compress(bytes(600 << 20))},
            "pred.h5ad.zst grows beyond 0.2 GB when unpacked, more than a prediction needs",
        ),
    ],
)
def test_a_bad_archive(packed: dict[str, bytes], due: Requirements, tmp_path: Path, change: Callable, said: str):
    found = errors(archive(tmp_path / "x.vcc", change(packed)), due)
    assert len(found) == 1
    assert said in found[0]


def of_unknown_size(members: dict[str, bytes]) -> bytes:
    """The prediction as vcc-cli compresses it: without stating its size."""
    plain = zstandard.decompress(members["pred.h5ad.zst"])
    return zstandard.ZstdCompressor(level=3, write_content_size=False).compress(plain)


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        (600, "the archive is truncated or damaged (unexpected end of data)"),
        (1200, "the archive has no pred.h5ad.zst"),
        (3000, "the archive is truncated or damaged (unexpected end of data)"),
    ],
)
def test_a_truncated_upload(packed: dict[str, bytes], due: Requirements, tmp_path: Path, keep: int, said: str):
    """Cut within `meta.json`, the prediction's header, and the prediction."""
    (tmp_path / "x.vcc").write_bytes((tmp_path / "sound.vcc").read_bytes()[:keep])
    found = errors(tmp_path / "x.vcc", due)
    assert len(found) == 1
    assert found[0].startswith(said)


def test_beyond_2_31_values_both_index_arrays_are_wide(counts: anndata.AnnData, tmp_path: Path):
    """SciPy cannot slice a matrix of int64 pointers and int32 columns."""
    write_h5ad(tmp_path / "x.h5ad", [counts.X], counts.obs, counts.var, stored=2**31)
    x = anndata.read_h5ad(tmp_path / "x.h5ad").X
    assert x.indices.dtype == x.indptr.dtype == np.int64
    assert (x[::2] != counts.X[::2]).nnz == 0


def test_the_commands(counts: anndata.AnnData, lists: Path, released, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VCC_COURSE", str(released.public_folder))  # asks for logs, so it does not count here
    path, out = write(counts, tmp_path), tmp_path / "x.vcc"
    due = ("--genes", lists / "gene_names.csv", "--perts", lists / "pert_counts.csv")
    answer = run("starter", "pack", path, "-o", out, "--season", 2026, *due)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.splitlines()[-1].startswith(f"wrote {out} (")
    assert run("starter", "check", out, *due).stdout.splitlines()[-1] == f"{out} has no error"
    assert run("starter", "check", path, *due).returncode == 2
    assert run("starter", "check", path, "--season", 2026, *due).returncode == 0
    said = f"{out} has no error; genes and perturbations were not compared with those due: give --genes and --perts\n"
    assert run("starter", "check", out).stdout == said
    answer = run("starter", "check", out, "--season", 2025, *due)
    assert (answer.returncode, "it is an upload of season 2026" in answer.stdout) == (2, True)
    answer = run("starter", "check", out, "--course", released.public_folder)
    assert answer.stderr == (
        "error: a course asks for log1p expression, season 2026 for counts; give --genes and --perts\n"
    )
    answer = run("starter", "pack", path, "-o", out, "--season", 2027, *due)
    assert (answer.returncode, answer.stderr) == (2, "error: there is no season 2027; the seasons are 2025, 2026\n")
