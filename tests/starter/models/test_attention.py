"""Attention, its heads and a block are those of torch."""

import itertools

import pytest

from starter.errors import InputError

torch = pytest.importorskip("torch")
attention = pytest.importorskip("starter.models.attention")
functional = torch.nn.functional


def tensors(seed: int, *shapes: tuple[int, ...], dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("lead", [(), (2,), (3, 2)])
def test_attention_and_its_gradient_are_those_of_torch(lead: tuple[int, ...], masked: bool):
    given = tensors(1, (*lead, 5, 4), (*lead, 7, 4), (*lead, 7, 3))
    mask = torch.rand((*lead, 5, 7), generator=torch.Generator().manual_seed(2)) < 0.7 if masked else None
    if masked:
        mask[..., 0] = True
    answers = []
    for function in (attention.attention, functional.scaled_dot_product_attention):
        leaves = [tensor.clone().requires_grad_() for tensor in given]
        came = function(*leaves, mask)
        answers.append([came, *torch.autograd.grad(came.square().sum(), leaves)])
    for ours, theirs in zip(*answers, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-12)


def attention_pair() -> tuple[torch.nn.Module, torch.nn.Module]:
    ours, theirs = attention.MultiHeadAttention(12, 3), torch.nn.MultiheadAttention(12, 3, batch_first=True)
    own = ours.state_dict()
    names = {"in_proj_weight": "project.weight", "in_proj_bias": "project.bias"}
    names |= {"out_proj.weight": "out.weight", "out_proj.bias": "out.bias"}
    theirs.load_state_dict({name: own[of_ours] for name, of_ours in names.items()})
    return ours, theirs


def test_multi_head_attention_is_that_of_torch_and_hidden_tokens_are_as_if_absent():
    ours, theirs = attention_pair()
    (x,) = tensors(3, (2, 6, 12), dtype=torch.float32)
    real = torch.arange(6) < torch.tensor([[4], [6]])
    due = theirs(x, x, x, key_padding_mask=~real)[0]
    torch.testing.assert_close(ours(x, real), due, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours(x, real)[:1, :4], ours(x[:1, :4]), rtol=1e-5, atol=1e-6)


def test_heads_must_divide_a_token():
    with pytest.raises(InputError, match="10 numbers a token cannot be dealt out to 3 heads; take a multiple of 3"):
        attention.MultiHeadAttention(10, 3)


def test_a_block_is_an_encoder_layer_of_torch():
    block = attention.Block(12, 3, dropout=0.0)
    layer = torch.nn.TransformerEncoderLayer(12, 3, 24, 0.0, "gelu", batch_first=True, norm_first=True)
    own = block.state_dict()
    names = {"self_attn.in_proj_": "attention.project.", "self_attn.out_proj.": "attention.out."}
    names |= {"linear1.": "network.0.", "linear2.": "network.2.", "norm1.": "norm_1.", "norm2.": "norm_2."}
    pairs = itertools.product(names.items(), ("weight", "bias"))
    layer.load_state_dict({f"{name}{end}": own[f"{ours}{end}"] for (name, ours), end in pairs})
    (x,) = tensors(5, (3, 5, 12), dtype=torch.float32)
    real = torch.arange(5) < torch.tensor([[2], [5], [3]])
    torch.testing.assert_close(block(x, real), layer(x, src_key_padding_mask=~real), rtol=1e-5, atol=1e-6)


def test_a_token_that_is_alone_sees_itself_as_behind_a_mask_of_the_identity():
    alone = attention.MultiHeadAttention(8, 2, alone=True).double()
    (x,) = tensors(3, (2, 5, 8))
    query, key, value = alone.project(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
    seen = attention.attention(query, key, value, torch.eye(5, dtype=torch.bool))
    torch.testing.assert_close(alone(x), alone.out(seen.transpose(1, 2).flatten(2)))
    together = attention.MultiHeadAttention(8, 2).double()
    together.load_state_dict(alone.state_dict())
    assert not torch.allclose(alone(x), together(x))


@pytest.mark.parametrize("alone", [False, True])
def test_what_a_token_gives_hangs_on_others_unless_it_is_alone(alone: bool):
    block = attention.Block(8, 2, dropout=0.0, alone=alone).double()
    x, other = tensors(4, (1, 5, 8), (1, 5, 8))
    changed = torch.cat([x[:, :1], other[:, 1:]], dim=1)
    assert torch.allclose(block(x)[:, 0], block(changed)[:, 0]) == alone
