"""Do generated masks keep to the pattern that they are called by, as `pruning check` reads it?"""

import pytest

from pruning.patterns import PATTERNS, make_pattern
from pruning.structure.couplings import couplings_of
from pruning.structure.heads import Heads
from sparse_formats.masks.pattern_text import Numbers, parse_pattern
from sparse_formats.masks.synthetic import generate as generating
from sparse_formats.masks.synthetic.generate import generate, own_density
from sparse_formats.masks.synthetic.shapes import MatrixShape, parse_shapes

LLAMA = (
    MatrixShape("layers.0.self_attn.q_proj", "Q", 96, 80, 6, 2),
    MatrixShape("layers.0.self_attn.k_proj", "K", 32, 80, 6, 2),
    MatrixShape("layers.0.self_attn.v_proj", "V", 32, 80, 6, 2),
    MatrixShape("layers.0.self_attn.o_proj", "attention out", 80, 96, 6, 2),
    MatrixShape("layers.0.mlp.gate_proj", "gate", 130, 80, 6, 2),
    MatrixShape("layers.0.mlp.up_proj", "up", 130, 80, 6, 2),
    MatrixShape("layers.0.mlp.down_proj", "down", 80, 130, 6, 2),
)
GPT2 = (
    MatrixShape("h.0.attn.c_attn", "QKV", 144, 48, 4, 4),
    MatrixShape("h.0.attn.c_proj", "attention out", 48, 48, 4, 4),
    MatrixShape("h.0.mlp.c_fc", "FFN1", 100, 48, 4, 4),
    MatrixShape("h.0.mlp.c_proj", "FFN2", 48, 100, 4, 4),
)
ODD = parse_shapes("1x1,1x7,7x1,13x17,64x65,5x130,67x129")
EVERY = (
    *("mvp", "mvp_tiled", "vector:4", "vector:64", "two_level:16", "two_level:6", "lane_select"),
    *("lane_select:4:3", "fine", "2:4", "1:4", "n_m:3:7", "vector_wise:5:16", "block:32"),
    *(
        "hierarchical_n_m:2:4:2:4",
        "hierarchical_n_m:2:3:2:5",
        "sum_n_m:1:4:1:8",
        "n_m_or_dense:1:4",
    ),
    *("sum_n_m:1:3:2:9", "n_m_or_dense:2:8:5"),
    *("block:6:4", "row", "column", "channel", "head", "coupled", "hybrid:8"),
    *("combined:4:16", "combined:3:5"),
)
JOINT = ("channel", "head", "coupled")


def test_are_the_patterns_those_that_pruning_knows() -> None:
    assert list(generating.PATTERNS) == list(PATTERNS)
    numbers: Numbers = dict.fromkeys(("first", "second", "third", "fourth"), 1)
    known = dict.fromkeys(PATTERNS, numbers)
    assert {parse_pattern(text, known)[0] for text in EVERY} == set(PATTERNS)


@pytest.mark.parametrize("density", [0.0, 0.02, 0.2, 0.25])
@pytest.mark.parametrize("pattern", EVERY)
@pytest.mark.parametrize("shapes", [LLAMA, GPT2, ODD], ids=["llama", "gpt2", "odd"])
def test_does_a_generated_mask_keep_to_its_pattern(
    shapes: tuple[MatrixShape, ...], pattern: str, density: float
) -> None:
    if shapes is ODD and pattern in JOINT:
        pytest.skip("these matrices have no heads and no hidden neurons")
    if pattern.startswith("vector_wise"):
        density = own_density(pattern) or 0
    heads = Heads(shapes[0].heads, shapes[0].kv_heads) if shapes[0].heads else None
    sizes = {shape.name: (shape.rows, shape.cols) for shape in shapes}
    couplings = couplings_of(sizes, heads) if shapes is not ODD else ()
    # Vectors of one weight fit any mask: the shortest that are drawn have four.
    wanted = make_pattern(pattern, {"couplings": couplings, "menu": (4, 8, 16, 32, 64)})
    for seed in range(2):
        masks = list(generate(shapes, density, pattern, seed))
        for group in [masks] if wanted.is_joint else [[mask] for mask in masks]:
            assert wanted.conforms(group) is None
