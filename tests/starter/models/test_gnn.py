"""The graph network: its parts against PyTorch Geometric and closed forms, and that it learns from graphs."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

pytest.importorskip("torch")

import torch
from torch_geometric.nn import GCNConv, SGConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from starter.errors import InputError
from starter.models import gnn, message_passing, tuning
from starter.models.baselines import train_mean
from starter.priors import graphs
from starter.schema import CONTROL
from starter.training import loop

MODULES, N, N_GENES = 3, 30, 40


@pytest.fixture(scope="module")
def screen() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Profiles of three modules of targets, and a graph that links within modules alone."""
    rng = np.random.default_rng(0)
    names = np.array([f"T{number:02d}" for number in range(N)])
    module = np.arange(N) % MODULES
    common = rng.normal(0, 0.2, N_GENES)
    effects = common + rng.normal(0, 0.5, (MODULES, N_GENES))[module] + rng.normal(0, 0.1, (N, N_GENES))
    profiles = pd.DataFrame(3 + effects, names, [f"G{number}" for number in range(N_GENES)])
    profiles.loc[CONTROL] = 3.0
    a, b = np.nonzero(np.triu(np.equal.outer(module, module) & (rng.random((N, N)) < 0.6), 1))
    return profiles, pd.DataFrame({"gene_a": names[a], "gene_b": names[b]})


@pytest.fixture
def graph() -> scipy.sparse.csr_matrix:
    rng = np.random.default_rng(1)
    linked = np.triu(rng.random((9, 9)) < 0.35, 1)
    linked[:, 5] = linked[5] = False  # without neighbours
    return scipy.sparse.csr_matrix((linked | linked.T).astype(float))


def edge_index(matrix: scipy.sparse.spmatrix) -> torch.Tensor:
    return torch.from_numpy(np.stack(matrix.nonzero()).astype(int))


def held_out(profiles: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    wanted = list(profiles.index[[1, 6, 11]])  # one of each module
    return profiles.drop(index=wanted), wanted


def test_the_normalised_matrix_is_that_of_pytorch_geometric(graph: scipy.sparse.csr_matrix):
    index, weight = gcn_norm(edge_index(graph), num_nodes=9, dtype=torch.float64)
    theirs = scipy.sparse.coo_matrix((weight.numpy(), tuple(index.numpy())), shape=(9, 9)).toarray()
    np.testing.assert_allclose(gnn.normalise(graph).toarray(), theirs, rtol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_layers_are_those_of_pytorch_geometric(graph: scipy.sparse.csr_matrix, steps: int):
    """SGConv is S^K X W + b; GCNConv is its first step."""
    torch.manual_seed(0)
    x = torch.randn(9, 5)
    theirs = SGConv(5, 3, K=steps)
    with torch.no_grad():
        due = theirs(x, edge_index(graph)).numpy()
        ours = theirs.lin(torch.from_numpy(gnn.propagate(gnn.normalise(graph), x.numpy(), steps)).float()).numpy()
    np.testing.assert_allclose(ours, due, atol=1e-5)
    if steps == 1:
        gcn = GCNConv(5, 3)
        gcn.lin.weight.data, gcn.bias.data = theirs.lin.weight.data, theirs.lin.bias.data
        with torch.no_grad():
            np.testing.assert_allclose(ours, gcn(x, edge_index(graph)).numpy(), atol=1e-5)


def test_a_target_hears_others_and_never_itself():
    edges = pd.DataFrame({"gene_a": ["A", "B", "X"], "gene_b": ["B", "C", "Y"]})
    heard = gnn.reach(edges, ["A", "B", "X", "nowhere"], ["A", "B", "C"], steps=1)
    np.testing.assert_allclose(heard, [[0, 1, 0], [0.5, 0, 0.5], [0, 0, 0], [0, 0, 0]])
    heard = gnn.reach(edges, ["A"], ["A", "B", "C"], steps=2)
    # by hand, with roots of degrees 2, 3, 2: from B (1/2 + 1/3) / sqrt 6, from C 1 / 6
    due = np.array([0, (1 / 2 + 1 / 3) / 6**0.5, 1 / 6])
    np.testing.assert_allclose(heard, [due / due.sum()])


def test_a_double_hears_what_both_of_its_genes_hear():
    edges = pd.DataFrame({"gene_a": ["A", "B", "C"], "gene_b": ["B", "C", "D"]})
    single = gnn.normalise(graphs.adjacency(edges)[0]).toarray()
    heard = gnn.reach(edges, ["A+D", "A+nowhere"], ["A", "B", "C"], steps=1)
    both = (single[0] + single[3])[:3]
    np.testing.assert_allclose(heard[0], both / both.sum())
    assert heard[0, 0] > 0  # A alone is another perturbation
    np.testing.assert_allclose(heard[1], single[0, :3] / single[0, :3].sum())


def test_the_network_by_hand():
    network = gnn.GraphNetwork(2, 2, width=2)
    values = {
        "conv.weight": [[1.0, 2.0], [0.0, -1.0]],
        "gene": [[0.0, 1.0], [-3.0, 2.0]],
        "weight": [[2.0, 5.0], [1.0, -1.0]],
        "bias": [0.5, 0.25],
    }
    network.load_state_dict({name: torch.tensor(value) for name, value in values.items()})
    came = network(torch.tensor([[1.0, 0.5]]), torch.tensor([10.0, 20.0]))
    # message (2, -.5); gene 1: relu(2, .5), 4 + 2.5; gene 2: relu(-1, 1.5), -1.5
    torch.testing.assert_close(came, torch.tensor([[10 + 0.5 + 6.5, 20 + 0.25 - 1.5]]))


def some_terms(direction: float) -> tuple[gnn.GraphNetwork, dict[str, torch.Tensor]]:
    with loop.seeded(3):
        network = gnn.GraphNetwork(3, 5, width=4)
        batch, control = (torch.randn(6, 3), torch.randn(6, 5)), torch.randn(5)
    return network, message_passing.loss_terms(network, batch, control, gnn.direction_loss, direction)


def gradient(direction: float) -> torch.Tensor:
    network, terms = some_terms(direction)
    sum(terms.values()).backward()
    return torch.cat([parameter.grad.ravel() for parameter in network.parameters()])


def test_each_term_of_the_loss_changes_the_gradient():
    lengths = [(gradient(weight) - gradient(0)).norm().item() for weight in (0.1, 1.0, 10.0)]
    assert lengths[0] > 1e-3
    assert lengths[1:] == pytest.approx([10 * lengths[0], 100 * lengths[0]], rel=1e-3)
    network, terms = some_terms(1.0)
    terms["error"].backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_the_direction_loss_has_the_derivative_of_the_formula():
    rng = np.random.default_rng(0)
    predicted, measured = rng.normal(size=(2, 4, 6))
    control, width = rng.normal(size=6), 0.7
    given = torch.from_numpy(predicted).requires_grad_()
    loss = gnn.direction_loss(given, torch.from_numpy(measured), torch.from_numpy(control), width)
    loss.backward()
    soft = np.tanh((predicted - control) / width)
    miss = np.sign(measured - control) - soft
    assert loss.item() == pytest.approx((miss**2).mean())
    np.testing.assert_allclose(given.grad, -2 * miss * (1 - soft**2) / width / predicted.size)


def test_the_sign_loss_of_gears_teaches_nothing():
    """`gears/utils.py:loss_fct`: its weight moves the loss, and not the gradient."""
    generator = torch.Generator().manual_seed(0)
    measured, control = torch.randn(4, 6, generator=generator), torch.randn(6, generator=generator)
    start = torch.randn(4, 6, generator=generator)
    losses, gradients = [], []
    for weight in (0.0, 0.001, 0.1, 1000.0):
        predicted = start.clone().requires_grad_()
        miss = torch.sign(measured - control) - torch.sign(predicted - control)
        loss = ((predicted - measured) ** 4).mean() + weight * (miss**2).mean()
        loss.backward()
        losses.append(loss.item())
        gradients.append(predicted.grad)
    assert losses[-1] > 50 * losses[0]
    for other in gradients[1:]:
        assert torch.equal(other, gradients[0])


def test_the_edges_of_gears_reach_the_first_cell_of_a_batch_alone(graph: scipy.sparse.csr_matrix):
    """One cell's edges for a batch, in PyTorch Geometric; with offsets every cell hears its neighbours."""
    torch.manual_seed(0)
    n_cells, n_genes = 3, graph.shape[0]
    x, layer, edges = torch.randn(n_genes, 5).repeat(n_cells, 1), SGConv(5, 2, K=1), edge_index(graph)
    offsets = torch.cat([edges + cell * n_genes for cell in range(n_cells)], dim=1)
    with torch.no_grad():
        without, one, every = (layer(x, given).reshape(n_cells, n_genes, 2) for given in (edges[:, :0], edges, offsets))
        changed = [(given - without).abs().amax(dim=(1, 2)) > 1e-6 for given in (one, every)]
        matrix = gnn.normalise(graph)
        product = layer.lin(torch.from_numpy(gnn.propagate(matrix, x[:n_genes].numpy(), 1)).float())
    assert changed[0].tolist() == [True, False, False]
    assert changed[1].tolist() == [True, True, True]
    for cell in every:  # one product serves all
        torch.testing.assert_close(cell, product, atol=1e-5, rtol=1e-5)


def test_it_overfits_ten_profiles():
    rng = np.random.default_rng(0)
    heard, measured, control = rng.normal(size=(10, 6)), rng.normal(3, 0.5, (10, 20)), np.full(20, 3.0)
    with loop.seeded(0):
        network = gnn.GraphNetwork(6, 20)
    settings = loop.Settings(epochs=400, learning_rate=0.02, clip=None)
    predict, history = message_passing.train(
        network, heard, measured, control, direction_loss=gnn.direction_loss, settings=settings
    )
    assert history["error"].iloc[-1] < 0.01 * history["error"].iloc[0]
    assert history.attrs["terms"] == ["error", "direction"]
    assert np.abs(predict(heard) - measured).max() < 0.2


def test_unseen_targets_come_from_their_neighbours(screen: tuple[pd.DataFrame, pd.DataFrame]):
    profiles, edges = screen
    known, wanted = held_out(profiles)
    predicted = gnn.gnn(known, {"graph": edges}, [*wanted, "unheard of"])
    assert list(predicted.index) == [*wanted, "unheard of"]
    assert predicted.index.name == "perturbation"
    assert list(predicted.columns) == list(profiles.columns)
    mean = train_mean(known, None, wanted)
    error, by_mean = ((table.loc[wanted] - profiles.loc[wanted]).abs().to_numpy().mean() for table in (predicted, mean))
    assert error < 0.5 * by_mean
    np.testing.assert_allclose(predicted.loc["unheard of"], known.drop(index=CONTROL).mean())


def test_the_true_graph_beats_a_shuffled_one(screen: tuple[pd.DataFrame, pd.DataFrame]):
    profiles, edges = screen
    fold_of = tuning.folds(profiles.index, 3)
    shuffled = graphs.shuffle_graph(edges, np.random.default_rng(0))
    true, false = (tuning.cross_validate(gnn.gnn, profiles, {"graph": g}, fold_of) for g in (edges, shuffled))
    gain = tuning.compare(true, false)
    assert gain.loc["pearson_delta_train_mean", "low"] > 0
    assert gain.loc["discrimination_score_l1", "low"] > 0


def test_the_same_seed_gives_the_same_and_nothing_else_changes(screen: tuple[pd.DataFrame, pd.DataFrame]):
    profiles, edges = screen
    known, wanted = held_out(profiles)
    before, state = known.copy(), torch.random.get_rng_state()
    first, again, other = (gnn.gnn(known, {"graph": edges}, wanted, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not np.allclose(first, other)
    pd.testing.assert_frame_equal(known, before)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_predictions_are_never_below_zero(screen: tuple[pd.DataFrame, pd.DataFrame]):
    profiles, edges = screen
    known, wanted = held_out(profiles)
    assert gnn.gnn((known - 2.8).clip(lower=0), {"graph": edges}, wanted).to_numpy().min() == 0


def test_without_messages_the_train_mean_is_left(screen: tuple[pd.DataFrame, pd.DataFrame]):
    profiles, edges = screen
    known, wanted = held_out(profiles)
    elsewhere, none = pd.DataFrame({"gene_a": ["X"], "gene_b": ["Y"]}), edges.iloc[:0]
    for graph in (elsewhere, none):
        pd.testing.assert_frame_equal(gnn.gnn(known, {"graph": graph}, wanted), train_mean(known, None, wanted))
    assert gnn.gnn(known, {"graph": edges}, []).shape == (0, N_GENES)


def test_what_cannot_be_learned_from_is_refused(screen: tuple[pd.DataFrame, pd.DataFrame]):
    profiles, edges = screen
    with pytest.raises(InputError, match="a graph network needs a gene graph"):
        gnn.gnn(profiles, {}, ["T00"])
    with pytest.raises(InputError, match="the training profiles have no row 'non-targeting'"):
        gnn.gnn(profiles.drop(index=CONTROL), {"graph": edges}, ["T00"])


def test_another_network_can_take_its_place(screen: tuple[pd.DataFrame, pd.DataFrame]):
    profiles, edges = screen
    known, wanted = held_out(profiles)

    class Nothing(gnn.GraphNetwork):
        def forward(self, heard: torch.Tensor, control: torch.Tensor) -> torch.Tensor:
            return super().forward(heard, control) * 0 + control

    predicted = gnn.gnn(known, {"graph": edges}, wanted, gnn.PARTS._replace(network=Nothing))
    np.testing.assert_allclose(predicted, 3.0, rtol=1e-6)


def test_the_numbers_that_stand_for_effects_are_principal_components():
    values = np.random.default_rng(0).normal(size=(40, 7))
    numbers = message_passing.effect_numbers(values)
    assert numbers.shape == (40, 5)  # one for every eight perturbations
    centred = values - values.mean(axis=0)
    variances = np.sort(np.linalg.eigvalsh(centred.T @ centred))[::-1][:5]
    np.testing.assert_allclose(numbers.T @ numbers, np.diag(variances), atol=1e-9)
    assert message_passing.effect_numbers(values[:3]).shape == (3, 1)


def test_features_without_knowledge_teach_nothing_of_neighbours(screen: tuple[pd.DataFrame, pd.DataFrame]):
    profiles, edges = screen
    training, hidden = held_out(profiles)
    rng = np.random.default_rng(0)

    def shuffled(values: np.ndarray) -> np.ndarray:
        return rng.permutation(message_passing.effect_numbers(values))

    def error(**settings: object) -> float:
        predicted = gnn.gnn(training, {"graph": edges}, hidden, **settings)
        return float(((predicted - profiles.loc[hidden]) ** 2).to_numpy().mean())

    assert error() < error(features=shuffled)


def test_what_targets_tell_can_be_replaced(screen: tuple[pd.DataFrame, pd.DataFrame]):
    profiles, edges = screen
    training, hidden = held_out(profiles)
    nothing = gnn.gnn(training, {"graph": edges}, hidden, features=lambda values: np.zeros((len(values), 3)))
    pd.testing.assert_frame_equal(nothing, train_mean(training, None, hidden), check_names=False)
