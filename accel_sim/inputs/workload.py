"""What is to be run: the matrices of a model in order, and what goes into each of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from accel_sim.inputs.activations import Activations
from accel_sim.inputs.convolutions import Convolution, convolutions_of, read_geometry, with_model
from accel_sim.inputs.defaults import DENSITY, PATTERN, TOKENS
from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_masks, sha256_of
from sparse_formats.masks.execution import (
    Execution,
    execution_in,
    expert_of,
    said_of_tokens,
    tokens_of,
)
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from sparse_formats.masks.selection import select
from sparse_formats.masks.synthetic.generate import generate, said_of_density
from sparse_formats.masks.synthetic.shapes import MatrixShape, parse_shapes
from sparse_formats.masks.what_was_read import what_was_read

GENERATED = "The masks were generated, not trained, so the results are not those of a model."
NOT_WEIGHTED = "The product was not computed, because the file holds no weights."

Masks = MaskSet | Mapping[str, NDArray[Any]] | Iterable[MaskedMatrix] | str | Path
"""Masks as people have them; of arrays (outputs, inputs) by name, what is not zero is kept."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Workload:
    """The matrices, from the first one at each call, their inputs, and what a report says of both.

    weights: of all matrices, pruned or not. origin: where the masks came from, as JSON-able data;
    notes: what a reader of the results must know of them. is_int8: all matrices hold 8-bit numbers;
    is_weighted: some matrix holds weights. execution: how often matrices run, and for how many of
    the tokens; expert_load: what the experts of a layer get in proportion to, by number. shapes: of
    the matrices, where their masks are generated. convolutions: by the names of their matrices.
    """

    names: tuple[str, ...]
    weights: int
    matrices: Callable[[], Iterator[MaskedMatrix]]
    activations: Activations = field(default_factory=lambda: Activations(TOKENS))
    origin: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    is_int8: bool = False
    is_weighted: bool = False
    execution: Execution = field(default_factory=Execution)
    expert_load: tuple[float, ...] = ()
    shapes: tuple[MatrixShape, ...] = ()
    convolutions: Mapping[str, Convolution] = field(default_factory=dict)

    def said_of_density(self, nnz: Mapping[str, int]) -> tuple[str, ...]:
        """How near generated masks with so many kept weights, by name, come to what was asked for.

        In sentences; none where they do not differ from that.
        """
        kept = [(shape, nnz[shape.name]) for shape in self.shapes]
        if not kept:
            return ()
        return said_of_density(self.origin["pattern"], self.origin["density"], kept)

    def tokens(self) -> dict[str, int]:
        """How many tokens go through each matrix, by name; see `masks.execution.tokens_of`.

        Of a convolution as many as it has output positions, where they are known. Of recorded
        activations as many as were recorded.

        Raises:
            SettingError: an expert_load that does not fit the experts.
        """
        recorded = self.activations.recorded
        if recorded is not None:
            found = {
                name: len(recorded[name])
                if name in recorded and (expert_of(name) is not None or name in self.convolutions)
                else self.activations.tokens
                for name in self.names
            }
        else:
            found = tokens_of(self.names, self.activations.tokens, self.execution, self.expert_load)
        return found | {
            name: convolution.positions
            for name, convolution in self.convolutions.items()
            if convolution.positions is not None
        }

    @property
    def routed(self) -> str:
        """How many tokens experts get, in words; "" where there are none."""
        return said_of_tokens(self.tokens(), self.activations.tokens, self.execution)

    def order(self, names: Sequence[str]) -> list[int]:
        """In which order the matrices called `names` run, by number: each as often as it runs.

        Neighbours that run as often as each other are layers that do so one after the other.
        """
        found: list[int] = []
        counts = [self.execution.runs_of(name) for name in names]
        for runs, block in groupby(range(len(names)), key=lambda i: counts[i]):
            found += list(block) * runs
        return found

    @classmethod
    def of(
        cls,
        masks: Masks,
        activations: Activations | None = None,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        experts_per_token: int | None = None,
        expert_load: Sequence[float] = (),
        convolutions: Path | None = None,
    ) -> Self:
        """The matrices of `masks`, those whose names match some of `include` and none of `exclude`.

        masks: a mask file or folder, what `read_masks` returns, arrays by name, or matrices one
        after the other. activations: 128 drawn tokens if not given. experts_per_token: in place of
        what the model's config.json says. expert_load: of each expert of a layer, all alike if not
        given. convolutions: a TOML file of their geometry (`inputs.convolutions`).

        Raises:
            InputError: a file that cannot be read, masks of another kind, names that match nothing,
                geometry that does not fit.
        """
        found, origin = _masks(masks)
        execution = execution_in(found.header, str(origin["source"]))
        if experts_per_token is not None:
            execution = replace(execution, experts_per_token=experts_per_token)
        header = {**found.header, "execution": execution.as_data()}
        names = set(select([m.name for m in found.matrices], include, exclude))
        chosen = [matrix for matrix in found.matrices if matrix.name in names]
        said = {} if convolutions is None else read_geometry(convolutions)
        geometry, from_model = with_model(said, found.header.get("geometry", {}), str(convolutions))
        unfolded = convolutions_of(
            found.shapes, found.header.get("convolutions", {}), geometry, str(convolutions)
        )
        dtypes = [m.weight_dtype for m in chosen if m.is_weighted]
        return cls(
            names=tuple(matrix.name for matrix in chosen),
            weights=sum(matrix.size for matrix in chosen),
            matrices=lambda: iter(chosen),
            activations=Activations(TOKENS) if activations is None else activations,
            origin=origin
            | {"read": what_was_read(found.shapes, header, names, Path(origin["source"]).name)},
            notes=(*(() if dtypes else (NOT_WEIGHTED,)), *((from_model,) if from_model else ())),
            is_int8=len(dtypes) == len(chosen) and all(dtype == np.int8 for dtype in dtypes),
            is_weighted=bool(dtypes),
            execution=execution,
            expert_load=tuple(expert_load),
            convolutions={name: c for name, c in unfolded.items() if name in names},
        )

    @classmethod
    def generated(
        cls,
        shapes: str,
        activations: Activations | None = None,
        *,
        density: float = DENSITY,
        pattern: str = PATTERN,
        seed: int = 0,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> Self:
        """Masks made up to `shapes` (a known model's, or sizes such as "768x768,3072x768").

        Raises:
            InputError: shapes, density or pattern that cannot be; names that match nothing.
        """
        found = parse_shapes(shapes)
        names = set(select([shape.name for shape in found], include, exclude))
        chosen = [shape for shape in found if shape.name in names]
        generate(chosen, density, pattern, seed)  # refuses what cannot be before anything runs
        return cls(
            names=tuple(shape.name for shape in chosen),
            weights=sum(shape.rows * shape.cols for shape in chosen),
            matrices=lambda: generate(chosen, density, pattern, seed),
            activations=Activations(TOKENS) if activations is None else activations,
            origin={
                "source": "generated",
                "sha256": None,
                "shapes": shapes,
                "density": density,
                "pattern": pattern,
                "seed": seed,
            },
            notes=(GENERATED,),
            shapes=tuple(chosen),
        )


def _masks(masks: Masks) -> tuple[MaskSet, dict[str, Any]]:
    """Masks of any kind, and where they came from."""
    if isinstance(masks, (str, Path)):
        path = Path(masks)
        found = read_masks(path)
        origin = {"source": str(path), "sha256": sha256_of(path), "header": dict(found.header)}
        return found, origin
    if isinstance(masks, Mapping):
        return MaskSet.from_arrays(masks), {"source": "arrays", "sha256": None}
    if isinstance(masks, MaskSet):
        return masks, {"source": "masks", "sha256": None, "header": dict(masks.header)}
    matrices = tuple(masks) if isinstance(masks, Iterable) else ()
    if not isinstance(masks, Iterable) or not all(isinstance(m, MaskedMatrix) for m in matrices):
        raise InputError(
            f"masks are {type(masks).__name__}; give the path of a mask file, what read_masks "
            "returns, or a dict of 2-D arrays by name"
        )
    return MaskSet(matrices), {"source": "matrices", "sha256": None}
