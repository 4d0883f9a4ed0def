"""Generated masks: every pattern that pruning knows, drawn instead of chosen."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sparse_formats.errors import SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.pattern_text import form, numbers_of, parse_pattern
from sparse_formats.masks.synthetic.drawn_pattern import DrawnPattern, Order
from sparse_formats.masks.synthetic.mixed_vectors import MixedVectors, TiledVectors
from sparse_formats.masks.synthetic.shapes import MatrixShape
from sparse_formats.masks.synthetic.slots import LaneSelect, TwoLevel
from sparse_formats.masks.synthetic.tiles import Block, Column, Row, Vectors
from sparse_formats.masks.synthetic.units import Channel, Coupled, Head, Hybrid, check_units
from sparse_formats.masks.synthetic.weights import (
    NM,
    Combined,
    Fine,
    HierarchicalNM,
    NMOrDense,
    SumNM,
    VectorWise,
)

PATTERNS: Mapping[str, type[DrawnPattern]] = {
    "mvp": MixedVectors,
    "mvp_tiled": TiledVectors,
    "vector": Vectors,
    "two_level": TwoLevel,
    "lane_select": LaneSelect,
    "fine": Fine,
    "n_m": NM,
    "vector_wise": VectorWise,
    "hierarchical_n_m": HierarchicalNM,
    "sum_n_m": SumNM,
    "n_m_or_dense": NMOrDense,
    "block": Block,
    "combined": Combined,
    "row": Row,
    "column": Column,
    "channel": Channel,
    "head": Head,
    "coupled": Coupled,
    "hybrid": Hybrid,
}


def forms() -> list[str]:
    """How each pattern is written."""
    return [form(name, numbers_of(kind)) for name, kind in PATTERNS.items()]


def make_drawn(text: str) -> DrawnPattern:
    """The pattern that `text` names, e.g. "mvp", "block:32" or "2:4".

    Raises:
        InputError: no such pattern, or numbers that cannot be.
    """
    known = {name: numbers_of(kind) for name, kind in PATTERNS.items()}
    name, numbers = parse_pattern(text, known)
    return PATTERNS[name](**numbers)


def own_density(pattern: str) -> float | None:
    """The kept share that a pattern itself says, such as 0.5 of "2:4"."""
    return make_drawn(pattern).density


UNSEEN = 1e-5
"""Share of the weights by which masks may miss a density before it is said (chosen)."""


def generate(
    shapes: Sequence[MatrixShape], density: float, pattern: str = "mvp", seed: int = 0
) -> Iterator[MaskedMatrix]:
    """One mask after the other, without weights, each made when it is asked for.

    density: kept fraction, 0 … 1, which every mask comes as near to as its pattern allows. "mvp"
    plants disjoint aligned vectors that exceed it by less than 4 weights, "lane_select" by less
    than a slot. Vectors and slots are stated. Matrix i depends on `seed`, i, its shape and kind
    only, where units go whole on its layer instead of i.

    Raises:
        InputError: density outside 0 … 1, or one that the pattern cannot keep; an unknown pattern,
            or one that these shapes cannot have; a negative seed.
    """
    if not 0 <= density <= 1:
        raise SettingError("density", f"is {density}; give the kept fraction, between 0 and 1")
    made = make_drawn(pattern)
    _check_density(made, density, pattern)
    check_units(made, list(shapes))
    if seed < 0:
        raise SettingError("seed", f"is {seed}; give zero or a positive whole number")
    return (made.mask(Order(shape, i, density, seed)) for i, shape in enumerate(shapes))


def said_of_density(
    pattern: str, density: float, kept: Iterable[tuple[MatrixShape, int]]
) -> tuple[str, ...]:
    """What a reader must know of how near the masks come to the density, in sentences.

    Where all together miss it by less than `UNSEEN`, nothing. kept: the kept weights of each shape.
    """
    made, found = make_drawn(pattern), list(kept)
    whole = [shape.name for shape, _ in found if made.is_whole(shape)]
    drawn = [(shape.rows * shape.cols, nnz) for shape, nnz in found if not made.is_whole(shape)]
    said = []
    size, nnz = (sum(each) for each in zip(*drawn, strict=True)) if drawn else (0, 0)
    more = nnz - density * size
    if abs(more) > max(1, UNSEEN * size):
        said.append(
            f"Pattern {pattern} cannot keep {100 * density:.6g} % exactly: the masks keep "
            f"{nnz:,} of {size:,} weights, {abs(more):,.0f} {'more' if more > 0 else 'fewer'} than "
            f"asked for ({100 * nnz / size:.6g} %)."
        )
    if whole:
        few = ", ".join(whole[:3]) + (", …" if len(whole) > 3 else "")
        said.append(f"Pattern {pattern} leaves {len(whole)} of {len(found)} matrices whole: {few}.")
    return tuple(said)


def _check_density(made: DrawnPattern, density: float, pattern: str) -> None:
    if made.is_rigid and abs(density - made.densest) > 1e-9:
        raise SettingError(
            "density",
            f"is {density:g}, but pattern {pattern} keeps exactly {made.densest:g}; leave it out",
        )
    if density > made.densest + 1e-9:
        raise SettingError(
            "density",
            f"is {density:g}, but pattern {pattern} keeps at most {made.densest:g}; give "
            f"{made.densest:g} or less",
        )
