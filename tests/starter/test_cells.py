import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter import cells, dataset, metrics, preprocess, pseudobulk
from starter.columns import in_memory
from starter.metrics.overlap import overlap_at_n
from starter.schema import CONTROL, InputError
from starter.summary import summarise


@pytest.fixture
def controls(small_screen: anndata.AnnData) -> cells.Controls:
    return cells.controls_of(small_screen)


def goal(controls: cells.Controls) -> np.ndarray:
    """A profile with genes far up, far down, switched off, newly on, and unchanged."""
    profile = np.asarray(controls.logs().mean(axis=0)).ravel()
    profile = profile * np.exp(np.random.default_rng(0).normal(0, 0.5, len(profile)))
    profile[3], profile[5], profile[7] = 0, 2.5, profile[7] + 0.4
    return profile


@pytest.mark.parametrize("n_cells", [37, 300, 650])
def test_thinned_cells_have_the_predicted_mean(controls: cells.Controls, n_cells: int):
    profile = goal(controls)
    made = cells.thin(profile, controls, n_cells, np.random.default_rng(1))
    assert made.shape == (n_cells, len(profile))
    # right to half of the largest step, one UMI in the shallowest cell
    step = np.log1p(controls.scale.max()) / n_cells
    assert np.abs(np.asarray(made.mean(axis=0)).ravel() - profile).max() <= step / 2 + 1e-6
    assert made[:, 3].nnz == 0


def test_thinned_cells_are_whole_counts_of_control_cells(controls: cells.Controls):
    made = cells.thin(goal(controls), controls, 300, np.random.default_rng(1))
    # all 300 controls are drawn once: every cell's values are log1p of its own scale times whole numbers
    scales = np.sort(controls.scale)
    recovered = cells.counts_from_logs(made)
    assert recovered is not None
    np.testing.assert_allclose(np.sort(recovered.scale), scales, rtol=1e-4)


def test_unchanged_genes_keep_their_distribution(controls: cells.Controls):
    logs = controls.logs()
    made = cells.thin(np.asarray(logs.mean(axis=0)).ravel(), controls, 300, np.random.default_rng(2))
    np.testing.assert_allclose(np.sort(made.toarray(), axis=0), np.sort(logs.toarray(), axis=0), atol=1e-6)


def test_removing_leaves_the_share_of_zeros_of_binomial_thinning():
    rng = np.random.default_rng(3)
    counts = scipy.sparse.csr_matrix(rng.negative_binomial(1.0, 0.2, (4000, 1)).astype(np.float32))
    controls = cells.Controls(counts, np.full(4000, 0.25))
    thinned = rng.binomial(counts.toarray().astype(int), 0.4)
    profile = np.log1p(0.25 * thinned).mean(axis=0)
    made = cells.thin(profile, controls, 4000, rng)
    assert made.nnz / 4000 == pytest.approx((thinned > 0).mean(), abs=0.02)


def test_adding_leaves_the_share_of_zeros_of_a_negative_binomial():
    rng = np.random.default_rng(4)
    mu, phi = 1.5, 0.8
    counts = rng.negative_binomial(1 / phi, 1 / (1 + phi * mu), (6000, 1))
    controls = cells.Controls(scipy.sparse.csr_matrix(counts.astype(np.float32)), np.full(6000, 0.25))
    assert controls.dispersion[0] == pytest.approx(phi, rel=0.1)
    more = counts + rng.negative_binomial(1 / phi, 1 / (1 + phi * mu), (6000, 1))
    made = cells.thin(np.log1p(0.25 * more).mean(axis=0), controls, 6000, rng)
    assert made.nnz / 6000 == pytest.approx((more > 0).mean(), abs=0.02)


def test_the_other_ways(controls: cells.Controls):
    profile = goal(controls)
    rng = np.random.default_rng(1)
    same = cells.constant(profile, controls, 5, rng)
    np.testing.assert_allclose(same.toarray(), np.tile(profile, (5, 1)), rtol=1e-6)
    shifted = cells.shift(profile, controls, 300, rng).toarray()
    logs = controls.logs().toarray()
    expected = np.maximum(logs + profile - logs.mean(axis=0), 0)
    np.testing.assert_allclose(np.sort(shifted, axis=0), np.sort(expected, axis=0), atol=1e-5)


def table(controls: cells.Controls, names: list[str], genes: pd.Index) -> pd.DataFrame:
    index = pd.MultiIndex.from_product([["one context"], names], names=pseudobulk.PAIR)
    return pd.DataFrame([goal(controls) * (1 + 0.1 * i) for i in range(len(names))], index=index, columns=genes)


def test_a_prediction_starts_with_the_controls_and_does_not_depend_on_its_neighbours(
    controls: cells.Controls, small_screen: anndata.AnnData
):
    both = table(controls, ["P", "Q"], small_screen.var_names)
    made = dict(cells.make_cells(both, controls, {"P": 9, "Q": 12}, seed=5))
    assert list(made) == [CONTROL, "P", "Q"]
    assert (made[CONTROL] != controls.logs()).nnz == 0
    alone = dict(cells.make_cells(both.iloc[1:], controls, {"Q": 12}, seed=5))
    assert (alone["Q"] != made["Q"]).nnz == 0
    other_seed = dict(cells.make_cells(both, controls, {"P": 9, "Q": 12}, seed=6))
    assert (other_seed["Q"] != made["Q"]).nnz > 0


def test_what_is_not_known_is_refused(controls: cells.Controls, small_screen: anndata.AnnData):
    both = table(controls, ["P", "Q"], small_screen.var_names)
    with pytest.raises(InputError, match="no way 'magic' to make cells; the ways are thin, constant, shift"):
        list(cells.make_cells(both, controls, {"P": 9, "Q": 12}, way="magic"))
    with pytest.raises(InputError, match="how many cells are due is not known for Q"):
        list(cells.make_cells(both, controls, {"P": 9}))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1])
@pytest.mark.parametrize("way", ["thin", "constant", "shift"])
def test_a_profile_that_is_no_mean_is_refused(
    controls: cells.Controls, small_screen: anndata.AnnData, way: str, bad: float
):
    one = table(controls, ["P"], small_screen.var_names)
    one.iloc[0, 3] = bad
    with pytest.raises(InputError, match=r"(NaN or infinite|negative) values in the profile table: 1"):
        list(cells.make_cells(one, controls, {"P": 9}, way=way))


def test_a_profile_of_other_genes_is_refused(controls: cells.Controls, small_screen: anndata.AnnData):
    one = table(controls, ["P"], small_screen.var_names)
    for columns, said in (
        (one.iloc[:, 1:], f"missing 1 [(]{small_screen.var_names[0]}[)]"),
        (pd.concat([one, one.iloc[:, :1].set_axis(["X"], axis=1)], axis=1), "extra 1 [(]X[)]"),
    ):
        with pytest.raises(InputError, match=f"the profile table's columns are not the course's genes: {said}"):
            list(cells.make_cells(columns, controls, {"P": 9}))
    for profile in (np.ones(199), np.ones(201), np.full(200, np.nan), np.full(200, -1.0)):
        with pytest.raises(InputError, match="a profile has one value a gene, 200 here|values of the profile that are"):
            cells.thin(profile, controls, 5, np.random.default_rng(0))


def test_cells_are_made_for_one_context_at_a_time(controls: cells.Controls, small_screen: anndata.AnnData):
    one = table(controls, ["P"], small_screen.var_names)
    two = pd.concat([one, one.rename(index={"one context": "another"})])
    with pytest.raises(InputError, match="the profile table has several contexts"):
        list(cells.make_cells(two, controls, {"P": 9}))


def test_counts_are_recovered_from_logs(controls: cells.Controls):
    recovered = cells.counts_from_logs(controls.logs())
    filled = np.asarray(controls.counts.sum(axis=1)).ravel() > 0
    assert (recovered.counts[filled] != controls.counts[filled]).nnz == 0
    np.testing.assert_allclose(recovered.scale[filled], controls.scale[filled], rtol=1e-4)


def test_what_were_never_counts_is_not_recovered():
    rng = np.random.default_rng(0)
    assert cells.counts_from_logs(scipy.sparse.csr_matrix(rng.random((5, 40)))) is None


def test_on_real_cells_thinning_keeps_the_de_genes(papalexi):
    """The true profiles as prediction: what is left of DES is what the way of making cells costs.

    A pilot on these hidden targets at 1e4 UMI measured .224 for equal cells and for control plus effect, .441 for
    thinning in a first form.
    """
    screen = dataset.read_screen(papalexi / "papalexi_thp1.h5ad")
    screen.uns["course"]["target_sum"] = 1e4
    split = dataset.read_split(papalexi / "papalexi_thp1.split.json")
    screen = screen[split.select(screen.obs, "hidden")].copy()
    profile = metrics.get_profile("vcc2025")
    controls, n_cells = cells.controls_of(screen), split.n_cells("hidden")
    names = np.array(list(n_cells))
    code = {CONTROL: 0} | {name: i for i, name in enumerate(names, 1)}

    def summary(x: scipy.sparse.csr_matrix, labels: np.ndarray):
        groups = pd.Series(labels).map(code).to_numpy()
        genes = np.array(screen.var_names)
        return summarise(in_memory(x), groups[None], names, genes, profile.de).summaries[0]

    truth = summary(preprocess.expression(screen), screen.obs["target_gene"].astype(str).to_numpy())
    oracle = pseudobulk.profiles(screen).drop(index=CONTROL, level="perturbation")

    def des(way: str, seed: int = 0) -> float:
        labels, made = zip(*cells.make_cells(oracle, controls, n_cells, way, seed), strict=True)
        labels = np.repeat(labels, [block.shape[0] for block in made])
        return overlap_at_n(truth, summary(scipy.sparse.vstack(made).tocsr(), labels)).mean()

    assert des("constant") == pytest.approx(0.224, abs=0.001)
    assert des("shift") == pytest.approx(0.224, abs=0.015)
    thinned = [des("thin", seed) for seed in range(3)]
    assert min(thinned) > 0.5
    assert max(thinned) - min(thinned) < 0.06  # one of the 3 DE genes of STAT2 is worth .048
