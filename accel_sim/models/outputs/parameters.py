"""The numbers of a model that is computed: its folder's tensors, under the masks.

A family is a row of `CALLED`: how its vectors and tables are called, and the few numbers of its
config.json that a count of operators needs nothing of. Source: the modelling files of
transformers 5, by family.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.models.families import FAMILIES
from accel_sim.models.transformer import ModelMatrix, Transformer
from accel_sim.models.weights import MaskedModel
from sparse_formats.errors import InputError, nearest
from sparse_formats.files.mask_file import read_weights
from sparse_formats.files.model_config import read_config
from sparse_formats.files.model_files import model_files, read_tensors
from sparse_formats.masks.matrix_names import layer_of, plain_name


@dataclass(frozen=True, kw_only=True)
class Called:
    """How a family calls what is no matrix of a layer.

    tables: that are looked up, of tokens first; norms: of a layer, in the order in which it uses
    them, with {} for the layer's number; on_heads: norms of queries and of keys. epsilon: the key
    of config.json, with what it is where the file lacks it. first_position: the row of the table of
    positions that the first token has; padding: the token that has the row before it wherever it
    stands, and is not counted. fixed: keys of config.json that must have this value where they are
    there.
    """

    tables: Sequence[str]
    norms: Sequence[str]
    epsilon: tuple[str, float]
    embedding_norm: str = ""
    final_norm: str = ""
    on_heads: Sequence[str] = ()
    first_position: int = 0
    padding: int | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)


_BERT = Called(
    tables=(
        "embeddings.word_embeddings",
        "embeddings.position_embeddings",
        "embeddings.token_type_embeddings",
    ),
    norms=("encoder.layer.{}.attention.output.LayerNorm", "encoder.layer.{}.output.LayerNorm"),
    epsilon=("layer_norm_eps", 1e-12),
    embedding_norm="embeddings.LayerNorm",
    fixed={"position_embedding_type": "absolute"},
)
_ROBERTA = replace(_BERT, first_position=2, padding=1, fixed={**_BERT.fixed, "pad_token_id": 1})
_LLAMA = Called(
    tables=("model.embed_tokens",),
    norms=("model.layers.{}.input_layernorm", "model.layers.{}.post_attention_layernorm"),
    epsilon=("rms_norm_eps", 1e-6),
    final_norm="model.norm",
    fixed={"partial_rotary_factor": 1.0, "pretraining_tp": 1},
)

CALLED: dict[str, Called] = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": Called(
        tables=("embeddings.word_embeddings", "embeddings.position_embeddings"),
        norms=(
            "transformer.layer.{}.sa_layer_norm",
            "transformer.layer.{}.output_layer_norm",
        ),
        epsilon=("", 1e-12),
        embedding_norm="embeddings.LayerNorm",
    ),
    "gpt2": Called(
        tables=("wte", "wpe"),
        norms=("h.{}.ln_1", "h.{}.ln_2"),
        epsilon=("layer_norm_epsilon", 1e-5),
        final_norm="ln_f",
        fixed={"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False},
    ),
    "opt": Called(
        tables=("decoder.embed_tokens", "decoder.embed_positions"),
        norms=(
            "decoder.layers.{}.self_attn_layer_norm",
            "decoder.layers.{}.final_layer_norm",
        ),
        epsilon=("", 1e-5),
        final_norm="decoder.final_layer_norm",
        first_position=2,
        fixed={
            "_remove_final_layer_norm": False,
            "layer_norm_elementwise_affine": True,
            "enable_bias": True,
        },
    ),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": replace(
        _LLAMA,
        on_heads=(
            "model.layers.{}.self_attn.q_norm",
            "model.layers.{}.self_attn.k_norm",
        ),
    ),
}
"""By model_type: the families that are computed. A new one is a row here."""

_BUFFERS = ("attn.bias", "attn.masked_bias", "rotary_emb.inv_freq", "position_ids")
"""Tensors that old versions of transformers stored, and that are no parameters."""


@dataclass(frozen=True, eq=False)
class Product:
    """weight: (rows, cols), 0 where not kept; kept: of each row; bias: (rows,) if there is one."""

    weight: NDArray[Any]
    keep: NDArray[np.bool_] | None
    bias: NDArray[Any] | None

    @property
    def kept(self) -> NDArray[np.int64]:
        """Weights of each row: int64 (rows,)."""
        if self.keep is None:
            return np.full(len(self.weight), self.weight.shape[1], np.int64)
        return np.count_nonzero(self.keep, axis=1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Norm:
    """scale and shift: (width,); a root mean square has no shift."""

    scale: NDArray[Any]
    shift: NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class Layer:
    """norms: in the order in which the layer uses them; on_heads: of queries and of keys."""

    norms: tuple[Norm, ...]
    on_heads: tuple[Norm, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Parameters:
    """All numbers of a model. products: by the name of the matrix; tables: of tokens first.

    first_position and padding: as in `Called`. activation: as transformers calls it. rope_base: of
    the rotary angles, where positions are rotary. unused: tensors of the folder that the model is
    computed without.
    """

    tables: tuple[NDArray[Any], ...]
    first_position: int
    padding: int | None
    products: Mapping[str, Product]
    layers: tuple[Layer, ...]
    embedding_norm: Norm | None
    final_norm: Norm | None
    epsilon: float
    activation: str
    rope_base: float
    unused: tuple[str, ...]

    def rows(self, ids: NDArray[np.int64], cached: int = 0) -> list[NDArray[np.int64]]:
        """The row of each table that each of the new tokens `ids` (batch, tokens) takes."""
        positions = np.broadcast_to(np.arange(cached, cached + ids.shape[1]), ids.shape)
        if self.padding is not None:
            counted = ids != self.padding
            positions = np.where(counted, counted.cumsum(axis=1) - 1, -1)
        every = [ids, positions + self.first_position, np.zeros_like(ids)]
        return every[: len(self.tables)]


def read_parameters(folder: Path, masked: MaskedModel) -> Parameters:
    """The numbers of the model in `folder`, with the masks on its matrices.

    Raises:
        InputError: a family that is not computed, a folder without weights, a tensor that is
            missing, of another shape, or of a layer and not understood; a mask whose weights are
            not those of the folder.
    """
    model = masked.model
    if model.family not in CALLED:
        raise InputError(
            f"the output of a model of {model.family} is not computed; it is of "
            f"{', '.join(CALLED)}, so leave the check out"
        )
    config = read_config(folder) if folder.is_dir() else None
    if config is None:
        raise InputError(
            f"the output needs the weights of the model, but {str(folder)!r} is no folder; give "
            "the one with its config.json and .safetensors"
        )
    values = {**FAMILIES[model.family].defaults, **config.values}
    called = CALLED[model.family]
    for key, wanted in called.fixed.items():
        if values.get(key) not in (None, wanted):
            raise InputError(f"{config.path}: {key} is {values[key]!r}, which is not computed")
    tensors = _Tensors.of(folder, masked)
    return Parameters(
        tables=tuple(
            tensors.matrix(name, (rows, model.embedding_width))
            for name, rows in zip(called.tables, model.embedding_rows, strict=True)
        ),
        first_position=called.first_position,
        padding=called.padding,
        products={each.name: tensors.product(each, model) for each in model.matrices},
        layers=tuple(
            Layer(
                tuple(tensors.norm(name.format(i), model.width, model) for name in called.norms),
                tuple(
                    tensors.norm(name.format(i), model.head_width, model)
                    for name in called.on_heads
                ),
            )
            for i in range(model.layers)
        ),
        embedding_norm=tensors.norm(called.embedding_norm, model.width, model)
        if model.embedding_norm
        else None,
        final_norm=tensors.norm(called.final_norm, model.width, model)
        if model.final_norm
        else None,
        epsilon=float(values.get(called.epsilon[0]) or called.epsilon[1]),
        activation=str(values[FAMILIES[model.family].keys["activation"]]),
        rope_base=_rope_base(values, config.path) if model.has_rope else 0.0,
        unused=tensors.unused(),
    )


def _rope_base(values: Mapping[str, Any], where: Path) -> float:
    """Of the rotary angles; refuses those that are scaled."""
    said = values.get("rope_parameters") or {}
    scaling = values.get("rope_scaling") or {}
    for each in (said, scaling):
        kind = each.get("rope_type", each.get("type", "default"))
        if kind != "default":
            raise InputError(f"{where}: rotary positions of type {kind!r} are not computed")
        if each.get("partial_rotary_factor", 1.0) != 1.0:
            raise InputError(f"{where}: rotary positions of a part of a head are not computed")
    return float(said.get("rope_theta") or values.get("rope_theta") or 10000.0)


@dataclass(frozen=True, eq=False)
class _Tensors:
    """The folder's tensors by their plain names; `taken` are those that were asked for."""

    folder: Path
    masked: MaskedModel
    matrices: Mapping[str, NDArray[Any]]
    vectors: Mapping[str, NDArray[Any]]
    prefix: str
    taken: set[str]

    @classmethod
    def of(cls, folder: Path, masked: MaskedModel) -> "_Tensors":
        matrices = {plain_name(name): array for name, array in read_weights(folder).items()}
        stored = read_tensors(model_files(folder))
        vectors = {
            name: each.read()
            for name, each in stored.items()
            if each.axes == 1 and each.kind == "f"
        }
        first = CALLED[masked.model.family].tables[0]
        found = next((name for name in matrices if f".{name}".endswith(f".{first}")), None)
        if found is None:
            raise InputError(f"{folder} has no tensor {first}.weight; give the whole model")
        return cls(folder, masked, matrices, vectors, found[: len(found) - len(first)], set())

    def matrix(self, name: str, shape: tuple[int, int]) -> NDArray[Any]:
        for each in (self.prefix + name, name):
            if each in self.matrices:
                self.taken.add(each)
                found = self.matrices[each]
                if found.shape != shape:
                    raise InputError(
                        f"{self.folder}: {each} is {found.shape[0]}×{found.shape[1]}, but "
                        f"config.json makes it {shape[0]}×{shape[1]}"
                    )
                return found
        raise InputError(
            f"{self.folder} has no weights of {name}{nearest(name, self.matrices)}; give the "
            "folder of the whole model, with masks of the matrices that it stores"
        )

    def vector(self, name: str, size: int) -> NDArray[Any] | None:
        for each in (self.prefix + name, name):
            if each in self.vectors:
                self.taken.add(each)
                found = self.vectors[each]
                if found.shape != (size,):
                    raise InputError(
                        f"{self.folder}: {each} has {found.shape[0]} numbers, not {size}"
                    )
                return found
        return None

    def norm(self, name: str, width: int, model: Transformer) -> Norm:
        scale = self.vector(f"{name}.weight", width)
        shift = self.vector(f"{name}.bias", width)
        if scale is None or (shift is None) != (model.norm == "rms"):
            raise InputError(f"{self.folder}: the norm {name} is missing or of another kind")
        return Norm(scale, shift)

    def product(self, matrix: ModelMatrix, model: Transformer) -> Product:
        name = plain_name(matrix.name)
        if matrix.kind == "head" and (model.is_tied or self.prefix + name not in self.matrices):
            weight = self._head(name, (matrix.rows, matrix.cols), model)
        else:
            weight = self.matrix(name, (matrix.rows, matrix.cols))
        bias = self.vector(f"{name}.bias", matrix.rows)
        if bias is None and matrix.kind in FAMILIES[model.family].biased:
            raise InputError(f"{self.folder} has no bias {name}.bias; give the whole model")
        mask = self.masked.masks.get(matrix.name)
        if mask is None:
            return Product(weight, None, bias)
        if mask.weight is not None:
            kept = weight.astype(mask.weight.dtype)
            if mask.weight.dtype == np.int8 or not np.array_equal(
                np.where(mask.keep, kept, 0), mask.weight
            ):
                raise InputError(
                    f"the weights of {mask.name} in the mask file are not those of {name} in "
                    f"{self.folder}; give the folder of the model that the masks were made of, or "
                    "of the pruned model"
                )
        return Product(np.where(mask.keep, weight, weight.dtype.type(0)), mask.keep, bias)

    def _head(self, name: str, shape: tuple[int, int], model: Transformer) -> NDArray[Any]:
        if model.is_tied:
            return self.matrix(CALLED[model.family].tables[0], shape)
        return self.matrix(name, shape)

    def unused(self) -> tuple[str, ...]:
        """Tensors that nothing asked for.

        Raises:
            InputError: one of them is of a layer, which then is not the one that is computed.
        """
        found = [name for name in self._names() if name not in self.taken]
        for name in found:
            if layer_of(name) is not None and name.startswith(self._layers):
                raise InputError(
                    f"{self.folder}: {name} is of a layer, but nothing of "
                    f"{self.masked.model.family} is computed with it"
                )
        return tuple(found)

    @property
    def _layers(self) -> str:
        """What the names of all layers' tensors begin with."""
        return self.prefix + CALLED[self.masked.model.family].norms[0].partition("{}")[0]

    def _names(self) -> Iterator[str]:
        for name in (*self.matrices, *self.vectors):
            if not name.endswith(_BUFFERS):
                yield name
