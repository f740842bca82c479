"""scGPT, against what the original package computes with the same weights, and against torch's own layers."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from starter.errors import InputError
from starter.models.scgpt import weights as scgpt_weights
from starter.models.scgpt.architecture import AffineDecoder, Architecture, Layers, PerturbationModel, PretrainingModel
from starter.models.scgpt.vocabulary import Vocabulary
from starter.models.scgpt.weights import save

TINY = Architecture(n_tokens=9, pad=7, width=12, heads=3, hidden=10, layers=2, dropout=0.0)
WHOLE_HUMAN = Architecture(n_tokens=60_697, pad=60_694, width=512, heads=8, hidden=512, layers=12, dropout=0.2)
SINGLE, DOUBLE = 2e-6, 1e-12
STAGES = {
    "encoder": "encoder",
    "value_encoder": "value_encoder",
    "pert_encoder": "pert_encoder",
    "layer0": "transformer_encoder.layers.0",
    "layer1": "transformer_encoder.layers.1",
    "transformer_out": "transformer_encoder",
    "coeff": "decoder.coeff_decoder",
    "bias": "decoder.bias_decoder",
}


def perturbation_model(seed: int = 0, **changes: object) -> PerturbationModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return PerturbationModel(TINY._replace(**changes)).eval()


def checkpoint(folder: Path, model: nn.Module | None = None) -> Path:
    save(model or perturbation_model(), Vocabulary.of([f"G{i}" for i in range(7)]), folder)
    return folder


def inputs(seed: int = 0, batch: int = 3, genes: int = 6) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    ids = torch.stack([torch.randperm(7, generator=rng)[:genes] for _ in range(batch)])
    flags = torch.nn.functional.one_hot(torch.arange(batch), genes)
    mask = torch.zeros(batch, genes, dtype=torch.bool)
    mask[1, -2:] = True
    return ids, torch.rand(batch, genes, generator=rng) * 3, flags, mask


# equal to the original


@pytest.fixture
def published(vcc_parity: Path, tmp_path: Path) -> Callable[..., PerturbationModel]:
    """Give the model of one of the stored files, as `load` makes it of a checkpoint folder."""

    def load(name: str, **settings: int) -> PerturbationModel:
        for file in ("args.json", "vocab.json"):
            shutil.copyfile(vcc_parity / "scgpt" / file, tmp_path / file)
        shutil.copyfile(vcc_parity / "scgpt" / f"{name}.pt", tmp_path / "best_model.pt")
        return scgpt_weights.load(tmp_path, **settings)[0]

    return load


@pytest.fixture
def arrays(vcc_parity: Path) -> Callable[[str], dict[str, np.ndarray]]:
    return lambda name: dict(np.load(vcc_parity / "scgpt" / f"{name}.npz"))


def given(arrays: Callable, case: str) -> tuple[Tensor, ...]:
    names = ["src", "values", "pert_flags", "padding_mask_none"]
    if "clamp" in case:
        names[1] = "values_clamp"
    if "padded" in case:
        names[0], names[1], names[3] = "src_padded", "values_padded", "padding_mask"
    stored = arrays("inputs")
    parts = [torch.from_numpy(stored[name]) for name in names]
    return tuple(part.double() if case == "eval_f64" and part.is_floating_point() else part for part in parts)


def stages(model: PerturbationModel, arguments: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """What comes out of every part, by forward hooks under the published names."""
    seen, hooks = {}, []
    for stage, name in STAGES.items():
        module = model.get_submodule(name)
        hooks.append(module.register_forward_hook(lambda _, __, out, stage=stage: seen.update({stage: out.detach()})))
    with torch.no_grad():
        seen["mlm_output"] = model(*arguments)
        seen["total_embs"] = model.embed(*arguments[:3])
        seen["cls_output"] = model.cls_decoder(seen["transformer_out"][:, 0])
    for hook in hooks:
        hook.remove()
    return seen


def farthest(came: Tensor, due: np.ndarray, mask: Tensor | None = None) -> float:
    due = torch.from_numpy(due).double()
    apart = (came.double() - due).abs() / due.abs().clamp(min=1)  # one value is 251, where single precision is 2e-5
    return float((apart if mask is None else apart[~mask]).max())


@pytest.mark.parametrize("naming", ["inproj", "wqkv"])
@pytest.mark.parametrize("case", ["eval", "eval_slowpath", "eval_clamp", "eval_padded_slowpath", "eval_f64"])
def test_every_stage_is_that_of_the_original(naming: str, case: str, published: Callable, arrays: Callable):
    model, arguments, outputs = published(f"generator_{naming}"), given(arrays, case), arrays("outputs")
    double = case == "eval_f64"
    came = stages(model.double() if double else model, arguments)
    for stage, value in came.items():
        mask = arguments[3] if "padded" in case and stage != "cls_output" else None
        assert farthest(value, outputs[f"{case}/{stage}"], mask) < (DOUBLE if double else SINGLE), stage


def test_the_similarity_of_cells_is_that_of_the_original(published: Callable, arrays: Callable):
    """The elastic cell similarity of a batch, 1 less the squared distance of cosines from .3, in the mean."""
    arguments = given(arrays, "eval_f64")
    cells = stages(published("generator_inproj").double(), arguments)["transformer_out"][:, 0]
    unit = cells / cells.norm(dim=1, keepdim=True)
    cosines = (unit @ unit.T).fill_diagonal_(0).relu()
    assert float((1 - (cosines - 0.3) ** 2).mean()) == pytest.approx(float(arrays("outputs")["eval_f64/loss_ecs"]))


@pytest.mark.parametrize(
    ("case", "weights", "pad"),
    [("eval_padded_fastpath", "generator_inproj", 0), ("pertpad2_eval", "generator_pertpad2_inproj", 2)],
)
def test_the_output_is_that_of_the_original(case, weights, pad, published: Callable, arrays: Callable):
    arguments = given(arrays, case)
    with torch.no_grad():
        came = published(weights, pert_pad_id=pad)(*arguments)
    assert farthest(came, arrays("outputs")[f"{case}/mlm_output"], arguments[3]) < SINGLE


def test_gradients_and_a_step_are_those_of_the_original(published: Callable, arrays: Callable):
    model, arguments, outputs = published("generator_inproj"), given(arrays, "train"), arrays("outputs")
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout = 0.0
    model.train()
    target = torch.from_numpy(arrays("inputs")["target"])
    came = model(*arguments)
    loss = nn.functional.mse_loss(came, target)
    assert farthest(came.detach(), outputs["train/mlm_output"]) < SINGLE
    assert loss.item() == pytest.approx(float(outputs["train/loss"]), rel=1e-6)
    loss.backward()
    due = {name.replace("__", "."): value for name, value in arrays("grads").items()}
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert without == {name for name in outputs["train/params_without_grad"] if not name.startswith("mvc_decoder")}
    for name, gradient in due.items():
        assert farthest(model.get_parameter(name).grad, gradient) < SINGLE, name
    norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    assert norm.item() == pytest.approx(float(outputs["train/grad_norm"]), rel=1e-6)
    torch.optim.Adam(model.parameters(), lr=1e-4).step()
    model.eval()
    with torch.no_grad():
        assert farthest(model(*arguments), outputs["after_1_adam_step/mlm_output"]) < SINGLE


@pytest.mark.parametrize("genes", ["all", "batch-wise"])
def test_predictions_from_control_cells_are_those_of_the_original(genes, published: Callable, arrays: Callable):
    """Of all genes, and of those that some cell of the batch expresses; the others are predicted to be 0."""
    stored, due = arrays("pred_perturb_inputs"), arrays("outputs")[f"pred_perturb/{genes}"]
    x, ids = torch.from_numpy(stored["x"]), torch.from_numpy(stored["gene_ids"])
    values, flags = x[:, 0].view(len(due), -1), x[:, 1].long().view(len(due), -1)
    chosen = torch.arange(len(ids)) if genes == "all" else values.any(dim=0).nonzero().ravel()
    came = torch.zeros_like(values)
    with torch.no_grad():
        came[:, chosen] = published("generator_inproj")(
            ids[chosen].expand(len(values), -1), values[:, chosen], flags[:, chosen], None
        )
    assert farthest(came, due) < SINGLE


@pytest.mark.parametrize("naming", ["inproj", "wqkv"])
def test_a_pretrained_checkpoint_gives_what_the_original_takes_of_it(naming: str, published: Callable, vcc_parity):
    model = published(f"pretrained_{naming}")
    due = json.loads((vcc_parity / "scgpt" / "prefix_load.json").read_text())
    assert list(model.loading.loaded) == sorted(due["loaded"])
    assert list(model.loading.initial) == sorted(due["left_at_init"])
    assert {name.split(".")[0] for name in model.loading.unused} == {"decoder", "mvc_decoder", "flag_encoder"}
    state = torch.load(vcc_parity / "scgpt" / "pretrained_inproj.pt", weights_only=True)
    for name in model.loading.loaded:
        assert torch.equal(model.get_parameter(name), state[name])


def test_the_published_vocabulary_has_no_padding_token_by_itself(vcc_data: Path, tmp_path: Path):
    """The list of genes that comes with the package is not the vocabulary of a checkpoint."""
    checkpoint(tmp_path)
    shutil.copyfile(vcc_data / "priors" / "scgpt_default_gene_vocab.json", tmp_path / "vocab.json")
    with pytest.raises(InputError, match=r"each once|no token '<pad>'"):
        scgpt_weights.load(tmp_path)


# by itself


def test_the_whole_human_model_has_as_many_parameters_as_was_published():
    with torch.device("meta"):
        model = PretrainingModel(WHOLE_HUMAN)
    assert sum(parameter.numel() for parameter in model.parameters()) == 51_330_049


def test_layers_are_those_of_torch():
    ours = Layers(TINY).eval()
    layer = nn.TransformerEncoderLayer(TINY.width, TINY.heads, TINY.hidden, 0.0, batch_first=True)
    theirs = nn.TransformerEncoder(layer, TINY.layers, enable_nested_tensor=False).eval()
    theirs.load_state_dict(ours.state_dict())
    x, mask = torch.randn(3, 6, TINY.width), inputs()[3]
    with torch.no_grad():
        came, due = ours(x, mask), theirs(x, src_key_padding_mask=mask)
    torch.testing.assert_close(came[~mask], due[~mask])


def test_decoder_by_hand():
    decoder = AffineDecoder(4)
    x, values = torch.randn(2, 3, 4), torch.tensor([[0.0, 1.0, 600.0], [2.0, 3.0, 0.5]])
    with torch.no_grad():
        due = decoder.coeff_decoder.fc(x)[..., 0] * values + decoder.bias_decoder.fc(x)[..., 0]
        torch.testing.assert_close(decoder(x, values), due)


def test_what_is_masked_changes_nothing_and_what_is_not_does():
    model, (ids, values, flags, mask) = perturbation_model(), inputs()
    other, nearby = values.clone(), values.clone()
    other[1, -1] += 5
    nearby[1, 0] += 5
    with torch.no_grad():
        came = model(ids, values, flags, mask)
        torch.testing.assert_close(model(ids, other, flags, mask)[~mask], came[~mask])
        assert (model(ids, nearby, flags, mask)[1, 1:4] - came[1, 1:4]).abs().min() > 1e-6
        torch.testing.assert_close(model(ids, values, flags, torch.zeros_like(mask)), model(ids, values, flags))


def test_the_order_of_genes_does_not_matter():
    model, (ids, values, flags, _) = perturbation_model(), inputs()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    with torch.no_grad():
        came = model(ids[:, order], values[:, order], flags[:, order])
        torch.testing.assert_close(came, model(ids, values, flags)[:, order])


def test_the_flag_that_is_padding_gets_no_gradient():
    for pad in (0, 2):
        model = PerturbationModel(TINY, pert_pad_id=pad)
        ids, values, flags, _ = inputs()
        model(ids, values, flags).square().mean().backward()
        moved = model.pert_encoder.weight.grad.abs().sum(dim=1) > 0
        assert moved.tolist() == [pad != 0, True, False]


def test_a_vocabulary_counts_shows_and_masks_what_it_does_not_know():
    vocabulary = Vocabulary.of(["B", "A", "C"])
    ids, mask = vocabulary.encode(["C", "X", "B", "Y"])
    assert ids.tolist() == [2, 3, 0, 3]
    assert mask.tolist() == [False, True, False, True]
    assert vocabulary.unknown(["C", "X", "B", "Y"]) == ["X", "Y"]
    assert vocabulary.report(["C", "X"]) == "1 of 2 genes are not in the vocabulary of 5 tokens and take no part: X"
    assert vocabulary.report(["C"]) == "0 of 1 genes are not in the vocabulary of 5 tokens"


@pytest.mark.parametrize("token", ["<pad>", "<cls>", "<eoc>", " <cls> "])
def test_a_token_that_is_no_gene_is_refused_as_the_name_of_one(token: str):
    vocabulary = Vocabulary({"A": 0, "<pad>": 1, "<cls>": 2, "<eoc>": 3})
    for ask in (vocabulary.encode, vocabulary.unknown, vocabulary.report, vocabulary.tokens, Vocabulary.of):
        with pytest.raises(InputError, match=f"'?{token.strip()}'?.*: tokens of scGPT that are no genes"):
            ask(["A", token])


NAMES = """gene_name,ensembl_id
MARCHF8,ENSG00000165406
MARCH8,ENSG00000165406
SARS1,ENSG00000031698
SARS,ENSG00000031698
SARS2,ENSG00000104835
STAT1,ENSG00000115415
P91,ENSG00000115415
TWIN,ENSG00000000001
TWIN,ENSG00000000002
ONE,ENSG00000000001
OTHER,ENSG00000000002
"""


@pytest.fixture
def named(tmp_path: Path) -> Vocabulary:
    """A checkpoint's vocabulary with a table of names beside it."""
    genes = ["MARCHF8", "SARS1", "SARS2", "STAT1", "C1orf43", "ONE", "OTHER"]
    (tmp_path / "vocab.json").write_text(json.dumps(dict(Vocabulary.of(genes).numbers)))
    (tmp_path / "gene_names.csv").write_text(NAMES)
    return scgpt_weights.read_vocabulary(tmp_path)


@pytest.mark.parametrize(
    ("called", "token"),
    [
        ("MARCH8", "MARCHF8"),
        ("SARS", "SARS1"),
        ("SARS2", "SARS2"),
        ("P91", "STAT1"),
        (" stat1", "STAT1"),
        ("ENSG00000115415.19", "STAT1"),
        ("ensg00000115415", "STAT1"),
        ("C1ORF43", "C1orf43"),
        ("SARS3", None),
        ("MARCH", None),
        ("TWIN", None),
    ],
)
def test_a_gene_is_found_under_another_name_where_the_answer_is_one(named: Vocabulary, called: str, token: str | None):
    assert named.tokens([called]) == [token]
    number, unknown = named.encode([called])
    assert number.item() == (named.pad if token is None else named.numbers[token])
    assert unknown.item() == (token is None)
    assert named.unknown([called]) == ([] if token else [called])


def test_without_a_table_no_name_is_completed():
    vocabulary = Vocabulary.of(["SARS1", "SARS2", "MARCHF8"])
    assert vocabulary.unknown(["SARS", "MARCH8", "sars2", "SARS2 "]) == ["SARS", "MARCH8", "SARS2 "]


@pytest.mark.parametrize(("approved", "token"), [("0", None), ("1", "H2BC21")])
def test_of_two_tokens_of_one_gene_todays_symbol_is_the_one(tmp_path: Path, approved: str, token: str | None):
    rows = [("H2BC21", approved), ("H2B", "0"), ("HIST2H2BE", "0")]
    lines = [f"{name},ENSG00000184678,{today}" for name, today in rows]
    (tmp_path / "gene_names.csv").write_text("\n".join(["gene_name,ensembl_id,approved", *lines]))
    (tmp_path / "vocab.json").write_text(json.dumps(dict(Vocabulary.of(["H2B", "H2BC21"]).numbers)))
    vocabulary = scgpt_weights.read_vocabulary(tmp_path)
    assert vocabulary.tokens(["HIST2H2BE"]) == vocabulary.tokens(["ENSG00000184678.7"]) == [token]
    assert vocabulary.tokens(["H2B"]) == ["H2B"]  # a token of the same letters comes first


def test_a_token_stands_for_one_gene(named: Vocabulary):
    assert named.tokens(["MARCH8", "MARCHF8", "P91", "stat1"]) == [None, "MARCHF8", "STAT1", None]
    assert named.report(["MARCH8", "ODD"]).endswith("take no part: ODD; 1 are under another name: MARCH8 as MARCHF8")


def test_a_target_that_may_be_several_tokens_is_asked_about(named: Vocabulary):
    with pytest.raises(InputError, match=r"the target 'TWIN' is not in the vocabulary, and ONE or OTHER may be meant"):
        named.ask(["SARS", "SARS+TWIN"])
    settled = named.meaning({"TWIN": "OTHER", "SARS": None})
    settled.ask(["TWIN"])
    assert settled.tokens(["TWIN", "SARS"]) == ["OTHER", None]
    assert len(settled) == len(named)
    with pytest.raises(
        InputError, match="NOBODY.*: not in the vocabulary of 9 tokens; choose a token that is, or None"
    ):
        named.meaning({"TWIN": "NOBODY"})


@pytest.mark.parametrize("content", [b"gene,id\nA,ENSG00000000001\n", b"\xff\xfe\x00", b"gene_name\nA\n"])
def test_a_table_of_names_that_is_none_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "vocab.json").write_text(json.dumps(dict(Vocabulary.of(["A"]).numbers)))
    (tmp_path / "gene_names.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"gene_names.csv is no table of gene names"):
        scgpt_weights.read_vocabulary(tmp_path)


@pytest.mark.parametrize("kind", [PerturbationModel, PretrainingModel])
def test_what_is_saved_is_loaded(kind: type, tmp_path: Path):
    saved = kind(TINY)
    model, vocabulary = scgpt_weights.load(checkpoint(tmp_path, saved))
    assert vocabulary.numbers["G6"] == 6
    assert not model.training
    state = saved.state_dict()
    for name in model.loading.loaded:
        assert torch.equal(model.get_parameter(name), state[name])
    heads = {name.split(".")[0] for name in model.loading.initial}
    assert heads == ({"pert_encoder", "decoder", "cls_decoder"} if kind is PretrainingModel else set())
    assert sorted(model.loading.loaded + model.loading.initial) == sorted(model.state_dict())


def test_both_namings_of_attention_are_read(tmp_path: Path):
    model = perturbation_model()
    checkpoint(tmp_path, model)
    state = {name.replace("in_proj_", "Wqkv."): value for name, value in model.state_dict().items()}
    torch.save(state, tmp_path / "best_model.pt")
    arguments = inputs()
    with torch.no_grad():
        assert torch.equal(scgpt_weights.load(tmp_path)[0](*arguments), model(*arguments))


# what is refused


def change_json(path: Path, **changes: object) -> None:
    found = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in found.items() if value is not None}))


def change_weights(path: Path, **changes: object) -> None:
    state = torch.load(path, weights_only=True) | {name.replace("__", "."): value for name, value in changes.items()}
    torch.save({name: value for name, value in state.items() if value is not None}, path)


def nan_in_weights(folder: Path) -> None:
    change_weights(folder / "best_model.pt", value_encoder__norm__bias=torch.full((12,), torch.nan))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "best_model.pt").unlink(), "has no best_model.pt; name the folder"),
        (lambda folder: (folder / "args.json").write_text("{"), "args.json is not JSON"),
        (lambda folder: (folder / "args.json").write_text("[1]"), "holds a list, and names with values are due"),
        (
            lambda folder: change_json(folder / "args.json", nlayers=None),
            "embsize, nheads, d_hid and nlayers are 12, 3",
        ),
        (lambda folder: change_json(folder / "args.json", nheads=5), "nheads divides embsize"),
        (lambda folder: change_json(folder / "args.json", nlayers=True), "whole numbers above 0"),
        (lambda folder: change_json(folder / "args.json", dropout="a"), "dropout is 'a'; it is a number from 0"),
        (
            lambda folder: change_json(folder / "args.json", input_emb_style="category"),
            r"another architecture: input_emb_style = 'category' \(known: 'continuous'\)",
        ),
        (lambda folder: change_json(folder / "args.json", nlayers=3), "lacks .*layers.2.*says more layers than it has"),
        (lambda folder: change_json(folder / "args.json", d_hid=11), r"shape \(10,\), but .* ask for \(11,\)"),
        (
            lambda folder: change_json(folder / "vocab.json", G0=5),
            "does not number its 9 tokens from 0 to 8, each once",
        ),
        (
            lambda folder: (folder / "vocab.json").write_text(json.dumps({f"G{i}": i for i in range(9)})),
            "has no token '<pad>'",
        ),
        (nan_in_weights, "NaN or infinite values in value_encoder.norm.bias"),
        (lambda folder: torch.save(perturbation_model(), folder / "best_model.pt"), "unpickle it could run any code"),
        (lambda folder: torch.save([torch.ones(2)], folder / "best_model.pt"), "holds no state dict"),
        (lambda folder: (folder / "best_model.pt").write_bytes(b""), "is not a file of weights"),
    ],
)
def test_a_faulty_checkpoint_is_refused_in_a_sentence(spoil: Callable, says: str, tmp_path: Path):
    spoil(checkpoint(tmp_path))
    with pytest.raises(InputError, match=says) as caught:
        scgpt_weights.load(tmp_path)
    assert len(str(caught.value).splitlines()) == 1
