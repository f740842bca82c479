import numpy as np
import pandas as pd
import pytest

from starter.simulation import biology, priors
from starter.simulation.human_genes import read_human_genes
from starter.simulation.setup import Simulation, Size


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return biology.draw(seed=5)


@pytest.fixture(scope="module")
def known(simulation: Simulation) -> dict[str, pd.DataFrame]:
    return priors.tables(simulation)


def alike(simulation: Simulation, pairs: list[tuple[str, str]]) -> float:
    """Mean cosine of the programme memberships of two targets."""
    unit = simulation.membership / np.linalg.norm(simulation.membership, axis=1, keepdims=True)
    row = {target: number for number, target in enumerate(simulation.targets)}
    return float(np.mean([unit[row[a]] @ unit[row[b]] for a, b in pairs]))


def test_targets_that_share_terms_belong_together(simulation, known):
    table = known["annotations"]
    assert list(table.columns) == ["gene", "term"]
    assert not table.duplicated().any()
    assert table["term"].nunique() == pytest.approx(8 * 12 + 60, abs=4)
    of_target = table[table["gene"].isin(simulation.targets)].groupby("gene")["term"].agg(set)
    rng = np.random.default_rng(0)
    pairs = [tuple(rng.choice(of_target.index, 2, replace=False)) for _ in range(3_000)]
    shared = np.array([len(of_target[a] & of_target[b]) for a, b in pairs])
    many = [pair for pair, n in zip(pairs, shared, strict=True) if n >= 4]
    none = [pair for pair, n in zip(pairs, shared, strict=True) if n == 0]
    assert alike(simulation, many) > 0.6
    assert alike(simulation, none) < 0.25


def test_pathways_hold_genes_of_one_programme_and_a_few_others(simulation, known):
    table = known["pathways"]
    assert list(table.columns) == ["pathway", "gene"]
    sizes = table.groupby("pathway").size()
    assert len(sizes) == 16
    of_target = table[table["gene"].isin(simulation.targets)]
    primary = pd.Series(simulation.membership.argmax(axis=1), simulation.targets)
    purity = of_target.groupby("pathway")["gene"].agg(lambda genes: primary[genes].value_counts(normalize=True).iloc[0])
    assert 0.6 < purity.mean() < 0.99


def test_regulons_have_the_right_sign_for_most_genes(simulation, known):
    table = known["regulons"]
    assert list(table.columns) == ["regulator", "target", "sign"]
    assert set(table["sign"]) == {-1, 1}
    assert table["regulator"].nunique() == 24
    column = {gene: number for number, gene in enumerate(simulation.genes)}
    row = {target: number for number, target in enumerate(simulation.targets)}
    drive = simulation.membership @ simulation.loadings[0, :8]
    signs = np.array(
        [np.sign(drive[row[r], column[t]]) for r, t in zip(table["regulator"], table["target"], strict=True)]
    )
    assert (signs == table["sign"]).mean() == pytest.approx(0.8, abs=0.07)


def test_every_gene_has_its_place_and_neighbours_are_close(simulation, known):
    genome = known["genome"]
    assert list(genome["gene"]) == list(simulation.genes)
    gaps = genome.groupby("chromosome")["start"].diff().dropna()
    assert genome["chromosome"].nunique() == 15
    assert gaps.between(40_000, 160_000).all()


def test_the_same_seed_gives_the_same_tables(simulation, known):
    again = priors.tables(biology.draw(seed=5))
    for name, table in known.items():
        pd.testing.assert_frame_equal(table, again[name])
    assert not known["annotations"].equals(priors.tables(biology.draw(seed=6))["annotations"])


def test_small_screens_have_priors_too():
    small = biology.draw(seed=1, size=Size(targets=6, genes=40, controls=10, min_cells=5))
    tables = priors.tables(small)
    assert len(tables["genome"]) == 40
    assert len(tables["annotations"])
    assert set(tables["regulons"]["regulator"]) <= set(small.targets)


def test_what_is_published_is_of_the_screens_genes_and_helps_in_part(simulation):
    known = priors.published(simulation)
    assert set(known) == {"string_links", "go_processes", "reactome_members", "reactome_regulators", "term_names"}
    genes = set(simulation.genes)
    for name, columns in (("string_links", ["gene_a", "gene_b"]), ("go_processes", ["gene"])):
        assert set(known[name][columns].to_numpy().ravel()) <= genes
    assert set(known["go_processes"]["term"]) <= set(known["term_names"]["term"])
    links = known["string_links"]
    links = links[links[["gene_a", "gene_b"]].isin(set(simulation.targets)).all(axis=1)]
    pairs = list(zip(links["gene_a"], links["gene_b"], strict=True))
    rng = np.random.default_rng(0)
    by_chance = [tuple(rng.choice(simulation.targets, 2, replace=False)) for _ in range(2_000)]
    assert alike(simulation, by_chance) + 0.1 < alike(simulation, pairs) < 0.8


def test_which_pathways_a_screen_follows_is_secret():
    """The same symbols in each screen, and other programmes: looking them up does not give the answer."""
    first, second = (biology.draw(seed=seed) for seed in (1, 2))
    assert list(first.genes) == list(second.genes)
    both = sorted(set(first.targets) & set(second.targets))
    together = []
    for simulation in (first, second):
        row = {target: number for number, target in enumerate(simulation.targets)}
        unit = simulation.membership / np.linalg.norm(simulation.membership, axis=1, keepdims=True)
        unit = unit[[row[target] for target in both]]
        together.append((unit @ unit.T)[np.triu_indices(len(both), 1)])
    assert abs(np.corrcoef(*together)[0, 1]) < 0.4


def test_genes_beyond_the_human_ones_are_the_challenges_or_numbered(tmp_path, monkeypatch):
    monkeypatch.delenv("VCC_DATA", raising=False)
    n_human = len(read_human_genes().symbols)
    size = Size(targets=20, genes=n_human + 150, controls=10, min_cells=5)
    numbered = biology.draw(seed=1, size=size)
    assert sum(gene.startswith("SIM") for gene in numbered.genes) == 150
    (tmp_path / "vcc2025").mkdir()
    (tmp_path / "vcc2025" / "gene_names.csv").write_text(f"{read_human_genes().symbols[0]}\nMT-ND1\nXIST\n")
    monkeypatch.setenv("VCC_DATA", str(tmp_path))
    named = biology.draw(seed=1, size=size)
    assert list(named.genes[n_human : n_human + 3]) == ["MT-ND1", "XIST", "SIM00001"]
    np.testing.assert_array_equal(named.effects, numbered.effects)
