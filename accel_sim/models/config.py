"""A transformer from its config.json, by what `families` says of its family."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accel_sim.models.families import FAMILIES, KNOWN, Family
from accel_sim.models.transformer import Activation, ModelMatrix, Transformer
from sparse_formats.errors import InputError, nearest
from sparse_formats.files.model_config import NAME, read_config

_ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_new": "gelu",
    "gelu_fast": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "gelu_python": "gelu",
    "quick_gelu": "silu",
    "silu": "silu",
    "swish": "silu",
    "relu": "relu",
}
"""What transformers calls an activation, and the one whose instructions it has."""


def read_model(model: str | Path) -> Transformer:
    """The model called `model`, or the one whose config.json stands in this folder.

    Raises:
        InputError: no such model or folder; a family that is not known; sizes that do not fit.
    """
    if str(model) in KNOWN:
        return transformer(KNOWN[str(model)], str(model))
    path = Path(model)
    config = read_config(path if path.is_dir() else path.parent) if path.exists() else None
    if config is None:
        raise InputError(
            f"model {str(model)!r} is neither a known one nor a folder with a {NAME}"
            f"{nearest(str(model), KNOWN)}"
        )
    return transformer(config.values, str(config.path))


def transformer(values: Mapping[str, Any], where: str) -> Transformer:
    """The model that the JSON object `values` of a config.json describes.

    Raises:
        InputError: naming the key, and `where` it stands.
    """
    name = values.get("model_type")
    if not isinstance(name, str) or name not in FAMILIES:
        raise InputError(
            f"{where}: model_type is {name!r}, a family whose operators are not known; "
            f"give a model of {', '.join(FAMILIES)}"
        )
    family = FAMILIES[name]
    return _Reading({**family.defaults, **values}, family, name, where).transformer()


@dataclass(frozen=True)
class _Reading:
    values: Mapping[str, Any]
    family: Family
    name: str
    where: str

    def transformer(self) -> Transformer:
        family = self.family
        layers, width, heads = self.count("layers"), self.count("width"), self.count("heads")
        kv_heads = self.count("kv_heads", heads)
        if heads % kv_heads:
            raise self.error("kv_heads", f"is {kv_heads}, which does not divide the {heads} heads")
        head_width = self.count("head_width", width // heads)
        if "head_width" not in family.keys and width % heads:
            raise self.error("heads", f"is {heads}, which does not divide the width {width}")
        ffn = self.count("ffn", 4 * width)
        self.refuse_other_layers()
        sizes = _Sizes(width, heads * head_width, kv_heads * head_width, ffn, family.is_gated)
        matrices = [
            ModelMatrix(pattern.format(i), kind, i, *sizes.of(kind))
            for i in range(layers)
            for kind, pattern in family.names.items()
        ]
        head_rows, tied = self.head()
        positions = (
            None if family.is_vision else self.count("positions") - family.reserved_positions
        )
        patch = self.patch()
        if patch:
            matrices.insert(0, ModelMatrix("patch_embedding", "patch", None, width, patch))
        if head_rows:
            matrices.append(ModelMatrix("lm_head", "head", None, head_rows, width))
        activation = self.value("activation")
        if activation not in _ACTIVATIONS:
            raise self.error("activation", f"is {activation!r}, which is not known")
        return Transformer(
            family=self.name,
            layers=layers,
            width=width,
            heads=heads,
            kv_heads=kv_heads,
            head_width=head_width,
            ffn=ffn,
            is_gated=family.is_gated,
            activation=_ACTIVATIONS[activation],
            norm=family.norm,
            is_pre_norm=family.is_pre_norm,
            has_rope=family.has_rope,
            is_causal=family.is_causal,
            embedding_rows=self.tables(),
            embedding_width=width,
            head_rows=head_rows,
            is_tied=tied,
            matrices=tuple(matrices),
            vectors=self.vectors(layers, width, head_width, sizes),
            embedding_norm=family.embedding_norm,
            final_norm=family.final_norm,
            head_norm=family.head_norm,
            norms_behind=family.norms_of_layer == 4,
            patch=patch,
            class_tokens=family.class_tokens,
            most_tokens=self.image_tokens() if family.is_vision else positions,
            window=self.window(layers),
        )

    def value(self, key: str) -> Any:
        return self.values.get(self.family.keys.get(key, key))

    def count(self, key: str, otherwise: int | None = None) -> int:
        found = self.value(key)
        found = otherwise if found is None else found
        if type(found) is not int or not 1 <= found <= 2**31:
            raise self.error(key, f"is {found!r}; give a whole number from 1 up")
        return found

    def error(self, key: str, words: str) -> InputError:
        return InputError(f"{self.where}: {self.family.keys.get(key, key)} {words}")

    def refuse_other_layers(self) -> None:
        """Layers that are not those of the contract."""
        width, projected = self.value("width"), self.value("word_embed_proj_dim")
        if projected not in (None, width):
            raise self.error("word_embed_proj_dim", f"is {projected}, another width than {width}")
        if self.value("do_layer_norm_before") is False:
            raise self.error("do_layer_norm_before", "is false, which is not modelled")
        for key in ("add_cross_attention", "is_decoder"):
            if self.value(key) is True and not self.family.is_causal:
                raise self.error(key, "is true; an encoder that decodes is not modelled")

    def head(self) -> tuple[int, bool]:
        """Outputs of the head, and whether it is the table of tokens."""
        if self.family.has_head:
            tied = self.values.get("tie_word_embeddings", self.family.is_tied)
            return self.count("vocabulary"), bool(tied)
        classes = self.values.get("architectures")
        is_classifier = isinstance(classes, list) and any(
            str(each).endswith("ForImageClassification") for each in classes
        )
        if not (self.family.is_vision and is_classifier):
            return 0, False
        labels = self.values.get("id2label")
        return (len(labels) if isinstance(labels, dict) else self.count("num_labels")), False

    def tables(self) -> tuple[int, ...]:
        """Rows of each table that is looked up."""
        family = self.family
        if family.is_vision:
            return (self.image_tokens(),)
        rows = [self.count("vocabulary")]
        if family.has_positions:
            rows.append(self.count("positions") + family.extra_positions)
        if family.segments is not None and (segments := self.value(family.segments)):
            rows.append(segments)
        return tuple(rows)

    def patch(self) -> int:
        if not self.family.is_vision:
            return 0
        return self.count("num_channels") * self.count("patch_size") ** 2

    def image_tokens(self) -> int:
        """Patches of the image, and the tokens of its class."""
        return (
            self.family.class_tokens + (self.count("image_size") // self.count("patch_size")) ** 2
        )

    def window(self, layers: int) -> tuple[int | None, ...]:
        size = self.values.get("sliding_window")
        if not self.family.has_window or self.values.get("use_sliding_window") is False or not size:
            return ()
        kinds = self.values.get("layer_types")
        if isinstance(kinds, list) and len(kinds) == layers:
            return tuple(size if kind == "sliding_attention" else None for kind in kinds)
        if self.name == "gemma2":
            return tuple(None if layer % 2 else size for layer in range(layers))
        first = self.values.get("max_window_layers", 0) if "qwen" in self.name else 0
        return tuple(size if layer >= first else None for layer in range(layers))

    def vectors(self, layers: int, width: int, head_width: int, sizes: "_Sizes") -> int:
        """Numbers of all norms and biases."""
        family = self.family
        of_norm = width * (2 if family.norm == "layer" else 1)
        biased = list(family.biased)
        if self.values.get("attention_bias") is True:
            biased += [kind for kind in ("Q", "K", "V", "attention out") if kind in family.names]
        biases = sum(sizes.of(kind)[0] for kind in dict.fromkeys(biased))
        norms = family.norms_of_layer * of_norm + (2 * head_width if family.head_norm else 0)
        outer = (family.embedding_norm + family.final_norm) * of_norm
        if family.is_vision:  # the tokens of the class, and the biases of patches and head
            outer += (family.class_tokens + 1) * width + self.head()[0]
        return layers * (biases + norms) + outer


@dataclass(frozen=True)
class _Sizes:
    """Widths of a layer: of the residual stream, of all query and all key-value heads, of FFN."""

    width: int
    queries: int
    keys: int
    ffn: int
    is_gated: bool

    def of(self, kind: str) -> tuple[int, int]:
        """Outputs and inputs of the layer's matrix of this kind."""
        return {
            "Q": (self.queries, self.width),
            "K": (self.keys, self.width),
            "V": (self.keys, self.width),
            "QKV": (self.queries + 2 * self.keys, self.width),
            "attention out": (self.width, self.queries),
            "FFN1": (self.ffn, self.width),
            "gate": (self.ffn, self.width),
            "up": (self.ffn, self.width),
            "gate and up": (2 * self.ffn, self.width),
            "down": (self.width, self.ffn),
            "FFN2": (self.width, self.ffn),
        }[kind]
