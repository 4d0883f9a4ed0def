"""The matrices of a model from the arrays that its file stores: upright, named, accounted for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.layouts import Contents, LeftOut, contents
from sparse_formats.files.model_config import ModelConfig
from sparse_formats.files.readers.stored import Stored
from sparse_formats.masks.execution import Execution
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from sparse_formats.masks.matrix_names import kind_of, network_order
from sparse_formats.masks.orientation import StoredInOut, stored_in_out
from sparse_formats.memory import claim


@dataclass(frozen=True, eq=False)
class Weights:
    """matrices: (out, in) by name, in network order; header: as `Matrices.header`."""

    matrices: dict[str, NDArray[Any]]
    header: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Matrices:
    """What a file or folder holds, known but unread.

    notes: what else to know of it, as sentences. execution: how often matrices run, where the file
    itself says it and not its config. geometry: stride and padding of convolutions, likewise.
    """

    path: Path
    contents: Contents
    orientation: StoredInOut
    config: ModelConfig | None
    notes: tuple[str, ...] = ()
    execution: Execution | None = None
    geometry: Mapping[str, Mapping[str, list[int]]] = field(default_factory=dict)

    @property
    def header(self) -> dict[str, Any]:
        """What a reader must know of the file, as JSON-able data; a key only where it says much.

        convolutions: the shapes (outputs, inputs, height, width) of those read as matrices;
        geometry: of these, "stride" and "padding" by height and width, where the file says them.
        stored_in_out: names of matrices that were transposed; orientation: how that was known.
        decoded: by layout, names of matrices that were put together from several arrays.
        left_out: name, shape and reason of each array of two axes or more that is not read.
        quantization: what config.json says of weights that were found to be plain numbers.
        notes: what else to know, as sentences.
        execution: what it says of how often matrices run; see `masks.execution`.
        """
        turned = sorted(name for name in self.contents.matrices if self._is_turned(name))
        known = self.orientation.why
        if self.orientation.is_close:
            known += ", which nearly fit both ways; a config.json beside them would tell"
        quantised = None if self.config is None else self.config.quantised_by
        header = {
            "convolutions": {
                name: list(array.shape)
                for name, array in self.contents.convolutions.items()
                if name in self.contents.matrices
            },
            "geometry": {
                name: dict(said)
                for name, said in self.geometry.items()
                if name in self.contents.matrices
            },
            "stored_in_out": turned,
            "orientation": known,
            "decoded": {layout: list(names) for layout, names in self.contents.decoded.items()},
            "left_out": [item.as_data() for item in self.contents.left_out],
            "quantization": quantised,
            "notes": list(self.notes),
            "execution": self._runs.as_data(),
        }
        return {key: value for key, value in header.items() if value}

    @property
    def _runs(self) -> Execution:
        if self.execution is not None:
            return self.execution
        return Execution() if self.config is None else self.config.execution

    @property
    def left_out_in_short(self) -> str:
        """The first arrays that were left out, in brackets; "" if there are none."""
        first = [f"{item.name}: {item.why}" for item in self.contents.left_out[:3]]
        return f" ({'; '.join(first)})" if first else ""

    def leaving_out(self, more: Sequence[LeftOut]) -> "Matrices":
        """The same with more that was left out."""
        left_out = (*self.contents.left_out, *more)
        return replace(self, contents=replace(self.contents, left_out=left_out))

    def noting(self, notes: Sequence[str]) -> "Matrices":
        """The same with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def masks(self) -> MaskSet:
        """All matrices, read, and convolutions as matrices of outputs × (inputs · height · width).

        Raises:
            InputError: weights that are no numbers.
        """
        whole = replace(self, contents=self.contents.with_convolutions(self.path))
        whole._claim(1)
        return MaskSet(in_network_order(whole._masked()), whole.header)

    def weights(self) -> Weights:
        """All arrays, read, in the file's order."""
        self._claim(0)
        return Weights(
            {name: self._upright(name, s.read()) for name, s in self.contents.matrices.items()},
            self.header,
        )

    def _claim(self, mask_bytes: int) -> None:
        """Announce all arrays, each with a mask of so many bytes an entry, before any is read."""
        found = self.contents.matrices.values()
        entries = sum(prod(stored.shape) for stored in found)
        sizes = [prod(stored.shape) * (stored.item_bytes + mask_bytes) for stored in found]
        # Of one at a time, what is read and what it is turned to are there both.
        needed = sum(sizes) + max(sizes, default=0)
        claim(self.path, needed, f"reading matrices of {entries} entries")

    def _masked(self) -> Iterator[MaskedMatrix]:
        for name, stored in self.contents.matrices.items():
            array = self._upright(name, stored.read())
            matrix = MaskedMatrix.from_array(name, array, f"{self.path}: ")
            if stored.read_keep is not None:
                keep = self._upright(name, stored.read_keep())
                matrix = MaskedMatrix(name, keep, matrix.weight, kind_of(name))
            yield matrix

    def _is_turned(self, name: str) -> bool:
        return name in self.orientation.names or name.partition("[")[0] in self.orientation.names

    def _upright(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(array.T) if self._is_turned(name) else array


def matrices(
    path: Path, arrays: Mapping[str, Stored], config: ModelConfig | None, is_model: bool
) -> Matrices:
    """What the `arrays` of a file are.

    is_model: see `layouts.contents`.

    Raises:
        InputError: an array of a layout that cannot be decoded; a config.json that contradicts it.
    """
    found = contents(path, arrays, is_model)
    orientation = stored_in_out(found.sizes, () if config is None else config.model_types)
    if orientation.contradiction:
        raise InputError(
            f"{path}: {orientation.contradiction}, but {orientation.why} says the opposite; "
            "repair config.json, or save the model with transformers"
        )
    _check_quantised(path, arrays, found, config)
    return Matrices(path, found, orientation, config)


def in_network_order(found: Iterable[MaskedMatrix]) -> tuple[MaskedMatrix, ...]:
    """The matrices as data meets them."""
    by_name = {matrix.name: matrix for matrix in found}
    return tuple(by_name[name] for name in network_order(by_name))


def _check_quantised(
    path: Path, arrays: Mapping[str, Stored], found: Contents, config: ModelConfig | None
) -> None:
    """Refuse a model that config.json calls quantised, if it holds integers we know nothing of."""
    if config is None or config.quantised_by is None or found.decoded:
        return
    packed = [
        name
        for name, array in arrays.items()
        if array.axes > 1 and (array.kind == "F" or array.kind in "iu")
    ]
    buffers = {item.name for item in found.left_out if "integers" not in item.why}
    packed = [name for name in packed if name not in buffers]
    if packed:
        raise InputError(
            f"{path}: config.json says that the weights are quantised by {config.quantised_by}, "
            f"and {packed[0]} is packed; give the model before it was quantised"
        )
