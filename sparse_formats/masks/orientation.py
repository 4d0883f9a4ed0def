"""Which matrices a file stores as (in, out), and how that is known."""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sparse_formats.masks.matrix_names import kind_of, plain_name

# Families that store (in, out). For each name: which of the stored axes is as wide as the model,
# i.e. what its layers hand on, and whether the matrix usually widens (+1), narrows (−1) or neither.
_FAMILIES: tuple[dict[str, tuple[int, int]], ...] = (
    # GPT-2 as Hugging Face stores it (`Conv1D`).
    {
        r"(?:^|\.)(?:c_attn|q_attn)$": (0, 1),
        r"attn\.c_proj$": (1, 0),
        r"mlp\.c_fc$": (0, 1),
        r"mlp\.c_proj$": (1, -1),
    },
    # glassllm; the key and value projections of grouped-query attention shrink.
    {
        r"blocks\.\d+\.attn\.W_Q$": (0, 0),
        r"blocks\.\d+\.attn\.W_O$": (1, 0),
        r"blocks\.\d+\.attn\.W_[KV]$": (0, -1),
        r"blocks\.\d+\.ffn\.W[13]$": (0, 1),
        r"blocks\.\d+\.ffn\.W2$": (1, -1),
    },
)

CONV1D = frozenset(
    {"gpt2", "openai-gpt", "imagegpt", "decision_transformer", "clvp", "clvp_decoder", "jais"}
)
"""Model types of config.json whose layers are `Conv1D`, which stores (in, out)."""

LINEAR = frozenset({"gpt_neo", "gpt_bigcode", "qwen", "codegen", "gptj"})
"""Model types with names like GPT-2's whose layers are `Linear`, which stores (out, in)."""

EXPERTS_IN_OUT = frozenset(
    {"gpt_oss", "llama4", "llama4_text", "qwen3_vl_moe", "qwen3_vl_moe_text", "aria", "aria_text"}
)
"""Model types whose fused experts are stored (expert, in, out)."""

Sizes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class StoredInOut:
    """What is stored (in, out): matrices by name, or the arrays of experts they are cut out of.

    why: how it is known; "" where no name is of a family that stores so. is_close: the sizes of
    the arrays allow both, or nearly so, and nothing else tells. contradiction: what speaks against
    the model type that was given, "" if nothing does.
    """

    names: frozenset[str]
    why: str = ""
    is_close: bool = False
    contradiction: str = ""


def stored_in_out(sizes: Sizes, model_types: Collection[str] = ()) -> StoredInOut:
    """Which arrays of one file are stored (in, out) and must be transposed when they are read.

    sizes: of every array of the file by name, as stored, biases too. model_types: what the model's
    config.json says; it decides where it is known.

    Elsewhere the sizes decide: all layers of a model hand on vectors of one width, and a bias is as
    long as its matrix has outputs. Where these fit both ways, a layer that widens, (d, 4d), is
    taken as (in, out), a (4d, d) one as (out, in), and square ones as their family stores them.
    """
    matrices = {name: (s[0], s[1]) for name, s in sizes.items() if len(s) == 2}
    experts = _experts_in_out(sizes, model_types)
    turned, reasons, is_close, contradiction = set(experts), [], False, ""
    for number, family in enumerate(_FAMILIES):
        members = {
            name: place
            for name in matrices
            for pattern, place in family.items()
            if re.search(pattern, plain_name(name))
        }
        if not members:
            continue
        votes = _Votes(sizes, matrices, members)
        known = number == 0 and (CONV1D | LINEAR) & set(model_types)
        if known:
            is_in_out = not known <= LINEAR
            contradiction = contradiction or votes.contradiction(is_in_out)
            reasons.append(f"config.json's model_type {min(known)}")
        else:
            is_in_out = votes.is_in_out
            is_close = is_close or votes.is_close
            reasons.append("the sizes of its arrays")
        if is_in_out:
            turned |= members.keys()
    why = " and ".join(dict.fromkeys(reasons))
    return StoredInOut(frozenset(turned), why, is_close, contradiction)


class _Votes:
    """What the sizes of a family's matrices, of their biases and of embeddings speak for."""

    def __init__(
        self,
        sizes: Sizes,
        matrices: Mapping[str, tuple[int, int]],
        members: Mapping[str, tuple[int, int]],
    ) -> None:
        shapes = {name: matrices[name] for name in members}
        widths = [s[1] for name, s in matrices.items() if kind_of(name) == "embedding"]
        self._biases = {
            bias: (shape, sizes[bias][0])
            for name, shape in shapes.items()
            if shape[0] != shape[1] and len(sizes.get(bias := _bias_of(name), ())) == 1
        }
        score = [0, 0]
        for turned in (0, 1):
            sides = Counter(widths)
            sides.update(shapes[name][axis ^ turned] for name, (axis, _) in members.items())
            # A lone width fits nothing but itself.
            score[turned] = max(sides.values())
            score[turned] += sum(
                shape[1 - turned] == length for shape, length in self._biases.values()
            )
        self._in_out, self._out_in = score
        self._widening = sum(
            sign * ((shapes[name][1] > shapes[name][0]) - (shapes[name][1] < shapes[name][0]))
            for name, (_, sign) in members.items()
        )

    @property
    def is_in_out(self) -> bool:
        if self._in_out != self._out_in:
            return self._in_out > self._out_in
        return self._widening >= 0

    @property
    def is_close(self) -> bool:
        larger = max(self._in_out, self._out_in)
        return 4 * abs(self._in_out - self._out_in) < larger

    def contradiction(self, is_in_out: bool) -> str:
        """The first bias, if all biases speak against `is_in_out`."""
        wrong = [
            f"{bias} has {length} numbers beside a matrix of shape {shape}"
            for bias, (shape, length) in self._biases.items()
            if shape[1 if is_in_out else 0] != length
        ]
        return wrong[0] if wrong and len(wrong) == len(self._biases) else ""


def _bias_of(name: str) -> str:
    return re.sub(r"weight$", "bias", name) if name.endswith("weight") else f"{name}.bias"


def _experts_in_out(sizes: Sizes, model_types: Collection[str]) -> set[str]:
    """Arrays of experts that are stored (expert, in, out), by model type, else by their sizes."""
    fused = {name: s for name, s in sizes.items() if len(s) == 3}
    if EXPERTS_IN_OUT & set(model_types):
        return set(fused)
    turned: set[str] = set()
    for name, (_, first, second) in fused.items():
        partner = fused.get(name.replace("gate_up_proj", "down_proj"))
        if "gate_up_proj" not in name or partner is None:
            continue
        # (in, out): (d, 2f) and (f, d); (out, in): (2f, d) and (d, f).
        fits_in_out = (first, second) == (partner[2], 2 * partner[1])
        fits_out_in = (first, second) == (2 * partner[2], partner[1])
        if fits_in_out and not fits_out_in:
            turned |= {name, name.replace("gate_up_proj", "down_proj")}
    return turned
