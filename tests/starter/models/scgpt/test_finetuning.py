"""Pre-training and fine-tuning a small scGPT: what is learned, what is not seen, what stays the same."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

pytest.importorskip("torch")

import torch
from torch import nn

from starter.errors import InputError
from starter.models import baselines
from starter.models.scgpt import finetuning, pretraining
from starter.models.scgpt.architecture import Architecture, PerturbationModel, PretrainingModel
from starter.models.scgpt.masked_values import bin_values, masked_error
from starter.models.scgpt.vocabulary import Vocabulary
from starter.schema import CONTROL

N_GENES = 30
GENES = [f"G{number:02d}" for number in range(N_GENES)]


def screen(n: int = 10, cells: int = 6) -> tuple[pd.DataFrame, scipy.sparse.csr_matrix, np.ndarray]:
    """Profiles of targets with strong effects of their own, and noisy cells of them."""
    rng = np.random.default_rng(2)
    names = [CONTROL, *GENES[:n]]
    values = np.maximum(1.5 + rng.normal(0, 0.6, N_GENES) + rng.normal(0, 0.4, (n + 1, N_GENES)), 0)
    label = np.repeat(names, cells)
    expression = np.maximum(np.repeat(values, cells, axis=0) + rng.normal(0, 0.3, (len(label), N_GENES)), 0)
    profiles = pd.DataFrame(values, index=pd.Index(names, name="perturbation"), columns=GENES)
    return profiles, scipy.sparse.csr_matrix(expression.astype(np.float32)), label


def pretrained(**changes: object) -> finetuning.Pretrained:
    vocabulary = Vocabulary.of(GENES)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = PerturbationModel(Architecture(len(vocabulary), vocabulary.pad, 16, 2, 16, 2, 0.1))
    return finetuning.Pretrained(model, vocabulary)._replace(**changes)


def controls(n: int = 80) -> scipy.sparse.csr_matrix:
    """Control cells in which groups of genes go up and down together; the last gene is in three cells only."""
    rng = np.random.default_rng(4)
    programme = rng.normal(size=(n, 3))
    rate = np.exp(0.5 + 0.7 * programme[:, np.arange(N_GENES) % 3])
    counts = rng.poisson(rate)
    counts[3:, -1] = 0
    return scipy.sparse.csr_matrix(np.log1p(counts).astype(np.float32))


# pre-training


def test_bins_by_hand():
    values = np.array([[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [7.0, 0.0, 0.0, 7.0, 7.0, 0.0]])
    # edges of the first cell at 1, 7/3, 11/3, 5
    assert bin_values(values, 5).tolist() == [[0, 1, 1, 2, 3, 4], [4, 0, 0, 4, 4, 0]]
    np.testing.assert_array_equal(bin_values(3 * values, 5), bin_values(values, 5))
    assert not bin_values(np.zeros((1, 3)), 5).any()
    with pytest.raises(InputError, match="2 bins leave nothing to tell apart"):
        bin_values(values, 2)


def test_the_masked_error_sees_only_what_counts():
    predicted, due = torch.tensor([[1.0, 5.0], [2.0, 0.0]], requires_grad=True), torch.zeros(2, 2)
    counts = torch.tensor([[True, False], [True, False]])
    error = masked_error(predicted, due, counts)
    assert error.item() == pytest.approx((1 + 4) / 2)
    error.backward()
    assert predicted.grad.tolist() == [[1.0, 0.0], [2.0, 0.0]]


def test_pretraining_learns_and_gives_the_same_for_the_same_seed():
    settings = {"width": 8, "genes_a_row": 20, "epochs": 10, "learning_rate": 1e-2}
    before = torch.random.get_rng_state()
    model, vocabulary, history = pretraining.pretrain(controls(), GENES, bin_values, masked_error, **settings)
    assert torch.equal(torch.random.get_rng_state(), before)
    again, _, _ = pretraining.pretrain(controls(), GENES, bin_values, masked_error, **settings)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
    assert history["loss"].iloc[-1] < 0.9 * history["loss"].iloc[0]
    assert vocabulary.unknown(GENES) == [GENES[-1]]


@pytest.mark.parametrize("term", [0, 1])
def test_each_term_of_pretraining_reaches_the_gene_tokens(term: int):
    model = PretrainingModel(Architecture(9, 7, 12, 3, 10, 2, 0.0))
    ids = torch.tensor([[8, 1, 4, 2]])
    model(ids, torch.tensor([[-2.0, 1.0, -1.0, 3.0]]))[term].square().mean().backward()
    assert model.encoder.embedding.weight.grad[[8, 1, 4, 2]].abs().sum(dim=1).min() > 0


def test_tokens_start_from_coexpression_and_genes_that_vary_together_are_alike():
    model, vocabulary, _ = pretraining.pretrain(
        controls(), GENES, bin_values, masked_error, width=8, epochs=1, learning_rate=1e-12
    )
    start = pretraining.starting_tokens(vocabulary, controls(), GENES, 8)
    assert list(start.index) == GENES[:-1]  # the last is in three cells only
    tokens = model.encoder.embedding.weight[vocabulary.encode(start.index)[0]].detach().numpy()
    np.testing.assert_allclose(tokens, start, atol=1e-6)
    coexpression = start.drop(columns="mean")
    np.testing.assert_allclose(np.linalg.norm(coexpression, axis=1), 1)
    assert start["mean"].mean() == pytest.approx(0, abs=1e-6)
    assert start["mean"].std() == pytest.approx(pretraining.MEAN_SPREAD)
    assert start["mean"].idxmax() == GENES[int(np.asarray(controls().mean(axis=0))[0, :-1].argmax())]
    alike = np.corrcoef(coexpression)
    same = np.equal.outer(np.arange(N_GENES - 1) % 3, np.arange(N_GENES - 1) % 3)
    off = ~np.eye(N_GENES - 1, dtype=bool)
    assert alike[same & off].mean() > alike[~same].mean() + 0.3


def test_cells_are_embedded_by_their_known_genes_alone():
    model, vocabulary, _ = pretraining.pretrain(controls(), GENES, bin_values, masked_error, width=8, epochs=1)
    cells = controls(20)
    embedding = pretraining.cell_embeddings(model, vocabulary, cells, GENES, bin_values)
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-5)
    other = cells.tolil()
    other[:, -1] = 5.0
    np.testing.assert_array_equal(
        pretraining.cell_embeddings(model, vocabulary, other.tocsr(), GENES, bin_values), embedding
    )
    few = pretraining.cell_embeddings(model, vocabulary, cells, GENES, bin_values, longest=5)
    assert abs(few - embedding).max() > 1e-3


def test_a_cell_is_shown_by_the_genes_that_it_expresses():
    """As `embed_data` of scGPT does: `<cls>`, then the genes that are not 0, binned; the rest of a batch is padding."""
    model, vocabulary, _ = pretraining.pretrain(controls(), GENES, bin_values, masked_error, width=8, epochs=1)
    cells = controls(7).tolil()
    cells[2] = 0  # nothing but <cls>
    cells = cells.tocsr()
    came = pretraining.cell_embeddings(model, vocabulary, cells, GENES, bin_values, n_bins=7, batch_size=3)
    for cell, embedded in zip(cells.toarray()[:, :-1], came, strict=True):
        shown = [gene for gene, value in zip(GENES, cell, strict=False) if value > 0]
        ids = torch.tensor([vocabulary.numbers["<cls>"], *vocabulary.encode(shown)[0].tolist()])
        values = torch.tensor([-2.0, *bin_values(cell[None], 7)[0][cell > 0]])
        with torch.no_grad():
            due = model.transformer_encoder(model.embed(ids[None], values[None]))[0, 0]
        np.testing.assert_allclose(embedded, due / due.norm(), atol=1e-5)


def test_of_a_cell_that_expresses_more_genes_than_fit_some_are_drawn(monkeypatch: pytest.MonkeyPatch):
    assert pretraining.LONGEST == 1200  # max_seq_len of the whole-human checkpoint
    model, vocabulary, _ = pretraining.pretrain(controls(), GENES, bin_values, masked_error, width=8, epochs=1)
    cells, lengths, encode = controls(9), [], model.transformer_encoder.forward

    def counted(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        lengths.extend((~mask).sum(dim=1).tolist())
        return encode(x, mask)

    monkeypatch.setattr(model.transformer_encoder, "forward", counted)
    one, same, other = (
        pretraining.cell_embeddings(model, vocabulary, cells, GENES, bin_values, longest=10, seed=seed)
        for seed in (0, 0, 1)
    )
    expressed = np.sort((cells[:, :-1] > 0).getnnz(axis=1))
    assert lengths == 3 * [min(1 + int(n), 10) for n in expressed]
    np.testing.assert_array_equal(one, same)
    assert abs(one - other).max() > 1e-4


def test_too_few_genes_are_refused():
    with pytest.raises(InputError, match="29 genes are expressed in 10 control cells or more; 33 are needed"):
        pretraining.pretrain(controls(), GENES, bin_values, masked_error)


# fine-tuning


def test_it_learns_ten_perturbations_by_heart():
    profiles, _, _ = screen()
    predicted = finetuning.scgpt(profiles, pretrained(), GENES[:10], epochs=10, learning_rate=5e-3)
    training = profiles.drop(index=CONTROL)
    left = ((predicted - training) ** 2).to_numpy().mean() / training.var(ddof=0).to_numpy().mean()
    assert left < 0.2


def test_before_training_it_predicts_the_train_mean():
    profiles, _, _ = screen()
    tuned, _ = finetuning.short_rows(profiles, pretrained(), epochs=1, learning_rate=1e-9)
    due = baselines.train_mean(profiles, None, ["G20"])
    assert abs(tuned.predict(["G20"]) - due).to_numpy().max() < 0.3


def test_unseen_perturbations_pairs_and_unknown_ones():
    profiles, _, _ = screen()
    known = pretrained()
    before = {name: value.clone() for name, value in known.model.state_dict().items()}
    targets = ["G20", "G21", "G20+G21", "ODD", "G20+ODD"]
    predicted = finetuning.scgpt(profiles, known, targets, epochs=3, learning_rate=5e-3)
    assert list(predicted.index) == targets
    assert predicted.index.name == "perturbation"
    assert (predicted.to_numpy() >= 0).all()
    mean = profiles.drop(index=CONTROL).mean()
    for unknown in ("ODD", "G20+ODD"):
        np.testing.assert_allclose(predicted.loc[unknown], mean)
    for one, other in (("G20", "G21"), ("G20", "G20+G21"), ("G20", "ODD")):
        assert abs(predicted.loc[one] - predicted.loc[other]).max() > 1e-4
    assert all(torch.equal(value, before[name]) for name, value in known.model.state_dict().items())
    assert finetuning.scgpt(profiles, known, [], epochs=1).shape == (0, N_GENES)


def test_genes_that_are_not_in_the_vocabulary_keep_their_train_mean():
    profiles, _, _ = screen()
    renamed = profiles.rename(columns={"G29": "ODD", "G05": "STRANGE"}, index={"G05": "STRANGE"})
    predicted = finetuning.scgpt(renamed, pretrained(), ["G20"], epochs=1)
    mean = renamed.drop(index=CONTROL).mean()
    np.testing.assert_allclose(predicted.loc["G20", ["ODD", "STRANGE"]], mean[["ODD", "STRANGE"]])
    assert abs(predicted.loc["G20", "G10"] - mean["G10"]) > 1e-6


def test_the_same_seed_gives_the_same_and_another_does_not():
    profiles, _, _ = screen()
    state = torch.random.get_rng_state()
    one, same, other = (finetuning.scgpt(profiles, pretrained(), ["G20"], epochs=1, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    pd.testing.assert_frame_equal(one, same)
    assert abs(one - other).to_numpy().max() > 1e-5


def test_short_rows_are_predicted_as_one_row_would_be():
    """The last row is filled up with padding, which is masked."""
    profiles, _, _ = screen()
    tuned, _ = finetuning.short_rows(profiles, pretrained(), epochs=1)
    came = tuned.predict(["G03"]).loc["G03"]
    ids = tuned.vocabulary.encode(["G03", *GENES[16:]])[0]
    values = torch.tensor(tuned.start[["G03", *GENES[16:]]].to_numpy(np.float32))
    flags = torch.tensor([1] + [0] * 14)
    with torch.no_grad():
        due = tuned.model(ids[None], values[None], flags[None])[0, 1:]
    np.testing.assert_allclose(came[GENES[16:]], due.clamp(min=0), atol=1e-6)


def test_the_flag_says_who_is_perturbed():
    profiles, _, _ = screen()
    tuned, _ = finetuning.short_rows(profiles, pretrained(), epochs=5, learning_rate=5e-3)
    came = tuned.predict(["G03"])
    with torch.no_grad():
        tuned.model.pert_encoder.weight[1] = 0
    assert abs(tuned.predict(["G03"]) - came).to_numpy().max() > 1e-3


def test_the_epoch_that_is_best_in_what_is_watched_is_kept():
    profiles, _, _ = screen()
    held = profiles.iloc[-3:]
    tuned, history = finetuning.short_rows(profiles.iloc[:-3], pretrained(), validation=held, epochs=3)
    watched = history["pearson_delta_train_mean"]
    again = finetuning._validate(tuned, held)(tuned.model)["pearson_delta_train_mean"]
    assert again == pytest.approx(watched.max(), abs=1e-6)
    assert {"pearson", "pearson_delta", "discrimination_score_l1"} < set(history.columns)


def test_as_published_uses_only_cells_of_the_profiles_and_never_says_so_by_raw_pearson():
    profiles, expression, label = screen()
    known = pretrained(expression=expression, target_gene=label)
    some = profiles.iloc[:8]
    tuned, history = finetuning.as_published(some, known, profiles.iloc[8:], epochs=2, cells_a_target=4)
    assert "pearson" in history
    came = tuned.predict(["G09"])
    spoiled = expression.tolil()
    spoiled[np.isin(label, profiles.index[8:])] = 9.0
    other, _ = finetuning.as_published(
        some, known._replace(expression=spoiled.tocsr()), profiles.iloc[8:], epochs=2, cells_a_target=4
    )
    pd.testing.assert_frame_equal(other.predict(["G09"]), came)


def test_as_published_learns_from_cells():
    profiles, expression, label = screen()
    known = pretrained(expression=expression, target_gene=label)
    _, history = finetuning.as_published(profiles, known, epochs=6, cells_a_target=6, learning_rate=5e-3)
    assert history["loss"].iloc[-1] < 0.7 * history["loss"].iloc[0]


def test_the_recipe_of_published_weights_is_the_published_one(monkeypatch: pytest.MonkeyPatch):
    """Tutorial_Perturbation.ipynb of scGPT; the facts of the kit's documents state the same."""
    large = PerturbationModel(Architecture(40_000, 0, 32, 2, 16, 1, 0.0))  # more than a million parameters
    recipe = finetuning.recipe_of(large)
    assert recipe == finetuning.Recipe(15, 1e-4, 64, 10, 1536, None, 300, "float16")
    assert finetuning.recipe_of(pretrained().model) == finetuning.IN_LITTLE
    profiles, expression, label = screen()
    known = pretrained(expression=expression, target_gene=label)
    seen, fit = [], finetuning.loop.fit

    def watched(model: nn.Module, loss: object, batches: object, settings: object, validate: object) -> pd.DataFrame:
        given = list(batches(1))
        seen.append((settings, given))
        return fit(model, loss, batches, replace(settings, epochs=1), validate)

    monkeypatch.setattr(finetuning.loop, "fit", watched)
    monkeypatch.setattr(finetuning, "recipe_of", lambda model: finetuning.PUBLISHED)
    finetuning.as_published(profiles.iloc[:8], known, profiles.iloc[8:])
    ((settings, batches),) = seen
    assert (settings.epochs, settings.learning_rate, settings.weight_decay, settings.clip) == (15, 1e-4, 0, 1)
    assert (settings.schedule, settings.step_factor, settings.patience) == ("step", 0.9, 10)
    assert [len(before) for before, _, _ in batches] == [42]  # 7 targets of 6 cells, below the 64 of a batch
    before, after, flags = (torch.cat(parts) for parts in zip(*batches, strict=True))
    cells = {name: expression[label == name].toarray() for name in profiles.index}
    for name in profiles.index[1:8]:  # every cell once
        came = after[flags[:, GENES.index(name)] == 1].numpy()
        np.testing.assert_array_equal(np.sort(came, axis=0), np.sort(cells[name], axis=0))
    assert (flags.sum(dim=1) == 1).all()
    assert all(any(np.array_equal(cell, control) for control in cells[CONTROL]) for cell in before.numpy())


def test_as_published_predicts_from_control_cells_by_the_mean_of_what_they_become():
    profiles, expression, label = screen()
    known = pretrained(expression=expression, target_gene=label)
    tuned, _ = finetuning.as_published(profiles, known, epochs=1, control_cells=100)
    came = tuned.predict(["G03", "G03+G05"])
    controls = torch.from_numpy(expression[label == CONTROL].toarray())
    ids = torch.arange(N_GENES).expand(len(controls), -1)
    for target, places in (("G03", [3]), ("G03+G05", [3, 5])):
        flags = torch.zeros_like(ids)
        flags[:, places] = 1
        with torch.no_grad():
            due = torch.stack(
                [tuned.model(*(part[None] for part in row))[0] for row in zip(ids, controls, flags, strict=True)]
            )
        np.testing.assert_allclose(came.loc[target], due.mean(dim=0).clamp(min=0), atol=1e-5)


@pytest.mark.parametrize("tune", ["short", "published"])
def test_targets_without_a_token_are_named_before_training(tune: str, monkeypatch: pytest.MonkeyPatch):
    profiles, expression, label = screen()
    renamed = profiles.rename(index={"G02": "ODD"})
    label = np.where(label == "G02", "ODD", label)
    known = pretrained(expression=expression, target_gene=label)
    trained = []
    monkeypatch.setattr(finetuning.loop, "fit", lambda *given: trained.append(given))
    with pytest.warns(UserWarning, match=r"1 of 10 targets are not in the vocabulary: ODD; .*get the train mean"):
        finetuning.short_rows(renamed, known) if tune == "short" else finetuning.as_published(renamed, known)
    assert len(trained) == 1
    ids = {"odd": frozenset("12"), "g20": frozenset("1"), "g21": frozenset("2")}
    twice = known._replace(vocabulary=Vocabulary(known.vocabulary.numbers, ids))
    with pytest.raises(InputError, match="the target 'ODD' is not in the vocabulary, and G20 or G21 may be meant"):
        finetuning.short_rows(renamed, twice) if tune == "short" else finetuning.as_published(renamed, twice)
    assert len(trained) == 1


def test_a_target_under_another_name_is_flagged_as_its_token():
    profiles, _, _ = screen()
    known = pretrained()
    ids = {name.casefold(): frozenset([name]) for name in GENES} | {"old03": frozenset(["G03"])}
    known = known._replace(vocabulary=Vocabulary(known.vocabulary.numbers, ids))
    renamed = profiles.rename(index={"G03": "OLD03"}, columns={"G03": "OLD03"})
    one, other = (finetuning.short_rows(table, known, epochs=1)[0] for table in (profiles, renamed))
    np.testing.assert_array_equal(one.predict(["G03"]), other.predict(["OLD03"]))


def test_fine_tuning_as_published_asks_for_cells():
    profiles, expression, label = screen()
    with pytest.raises(InputError, match="takes single cells; give expression and target_gene"):
        finetuning.as_published(profiles, pretrained())
    known = pretrained(expression=expression[label == CONTROL], target_gene=label[label == CONTROL])
    with pytest.raises(InputError, match="no cells of the control or of any training perturbation"):
        finetuning.as_published(profiles, known)


def test_nothing_known_is_the_train_mean():
    profiles, _, _ = screen()
    odd = profiles.rename(columns=lambda gene: f"X{gene}", index=lambda name: name if name == CONTROL else f"X{name}")
    predicted = finetuning.scgpt(odd, pretrained(), ["G20"])
    np.testing.assert_allclose(predicted.loc["G20"], odd.drop(index=CONTROL).mean())


def test_dropout_is_off_and_what_the_checkpoint_had_stays():
    known = pretrained()
    loading = known.model.loading._replace(initial=("pert_encoder.weight",))
    known.model.loading = loading
    made = finetuning._fresh(known.model, seed=3, identity=False)
    assert {module.p for module in made.modules() if isinstance(module, nn.Dropout)} == {0.0}
    state = known.model.state_dict()
    changed = [name for name, value in made.state_dict().items() if not torch.equal(value, state[name])]
    assert changed == ["pert_encoder.weight"]


def test_masked_errors_of_unseen_cells_are_those_of_the_answers_given():
    model, vocabulary = pretraining.untrained(controls(), GENES, width=8)
    with torch.no_grad():
        for decoder in (model.decoder, model.mvc_decoder):  # both answer 0 everywhere
            for parameter in decoder.parameters():
                parameter.zero_()
    found = pretraining.masked_errors(model, vocabulary, controls(), controls(), GENES, bin_values, n_bins=4)
    assert list(found.columns) == ["masked", "cell", "guess"]
    assert len(found) == controls().shape[0]
    # an answer of 0 errs by the square of a bin, the guess by its variance over cells
    known = [gene in vocabulary.numbers for gene in GENES]
    binned = bin_values(controls()[:, known].toarray(), 4)
    assert found["masked"].mean() == pytest.approx((binned**2).mean(), rel=0.2)
    assert found["guess"].mean() == pytest.approx(binned.var(axis=0).mean(), rel=0.2)
    again = pretraining.masked_errors(model, vocabulary, controls(), controls(), GENES, bin_values, n_bins=4)
    pd.testing.assert_frame_equal(found, again)
