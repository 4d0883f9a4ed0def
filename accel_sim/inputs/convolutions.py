"""Convolutions: what their weights and a small file say of them (docs/rivals.md §1)."""

from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sparse_formats.errors import InputError, nearest
from sparse_formats.files.toml import read_toml

Pair = tuple[int, int]
"""Of height and width."""

_Size = Annotated[int, msgspec.Meta(ge=1, le=2**16)]
_Edge = Annotated[int, msgspec.Meta(ge=0, le=2**16)]
# Lists, because msgspec 0.22 misreads a pair beside a number that has a range.
_Sizes = Annotated[list[_Size], msgspec.Meta(min_length=2, max_length=2)]
_Edges = Annotated[list[_Edge], msgspec.Meta(min_length=2, max_length=2)]


class Geometry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the table of a convolution may say; one number stands for height and width.

    Where nobody says it, the stride is 1 and the padding 0.

    input: size of the picture that it reads; kernel: only of a matrix, whose shape does not say it.
    """

    input: _Size | _Sizes | None = None
    stride: _Size | _Sizes | None = None
    padding: _Edge | _Edges | None = None
    kernel: _Size | _Sizes | None = None


@dataclass(frozen=True)
class Convolution:
    """A convolution of `inputs` pictures into `outputs`.

    size: of each picture that it reads, None where nobody says; kernel, stride, padding (on each
    side): height and width.
    """

    outputs: int
    inputs: int
    kernel: Pair
    size: Pair | None = None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)

    @property
    def columns(self) -> int:
        """Of the matrix: inputs of an output."""
        return self.inputs * self.kernel[0] * self.kernel[1]

    @property
    def output_size(self) -> Pair | None:
        """Height and width of the pictures that it writes."""
        if self.size is None:
            return None
        height, width = (
            (size + 2 * padding - kernel) // stride + 1
            for size, kernel, stride, padding in zip(
                self.size, self.kernel, self.stride, self.padding, strict=True
            )
        )
        return height, width

    @property
    def positions(self) -> int | None:
        """Output positions: the columns of its product."""
        return None if self.output_size is None else self.output_size[0] * self.output_size[1]

    def unfold(self, planes: NDArray[Any]) -> NDArray[Any]:
        """What the kernel covers at each position: (positions, columns), zeros where it is padding.

        planes: (inputs, height, width), of the size that is known.
        """
        (down, across), (row_step, col_step) = self.padding, self.stride
        padded = np.pad(planes, ((0, 0), (down, down), (across, across)))
        windows = sliding_window_view(padded, self.kernel, axis=(1, 2))
        # (inputs, positions down, positions across, kernel rows, kernel columns)
        windows = windows[:, ::row_step, ::col_step].transpose(1, 2, 0, 3, 4)
        return windows.reshape(windows.shape[0] * windows.shape[1], -1)

    def fold(self, live: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which inputs any position finds live: bool (inputs, height, width).

        live: bool (positions, columns), as `unfold` gives it.
        """
        assert self.size is not None and self.output_size is not None
        (down, across), (height, width) = self.padding, self.size
        padded = np.zeros((self.inputs, height + 2 * down, width + 2 * across), np.bool_)
        (row_step, col_step), (rows, cols) = self.stride, self.output_size
        columns = live.T.reshape(self.inputs, *self.kernel, rows, cols)
        for r in range(self.kernel[0]):
            for q in range(self.kernel[1]):
                covered = padded[:, r:, q:][:, ::row_step, ::col_step][:, :rows, :cols]
                covered |= columns[:, r, q]
        return padded[:, down : down + height, across : across + width]


def read_geometry(path: Path) -> dict[str, Geometry]:
    """A table for each convolution, by the name of its weights.

    Raises:
        InputError: not such a file; an unknown key, or a value that cannot be.
    """
    found = {}
    for name, table in read_toml(path).items():
        try:
            found[name] = msgspec.convert(table, Geometry)
        except msgspec.ValidationError as error:
            raise InputError(
                f'{path}: table ["{name}"]: {error}; give input, stride, padding and kernel, '
                "each as one whole number or as [height, width]"
            ) from error
    if not found:
        raise InputError(
            f"{path} holds no table; give one for each convolution, such as "
            '["conv1.weight"] with input, stride and padding'
        )
    return found


def with_model(
    said: Mapping[str, Geometry], model: Mapping[str, Any], where: str
) -> tuple[dict[str, Geometry], str]:
    """What a file says of convolutions, and what the model says where the file does not.

    model: "stride" and "padding" of convolutions by name, as a mask file's header has them. Also a
    sentence that says what was taken from it, "" if nothing.

    Raises:
        InputError: the header says what no convolution has.
    """
    found, taken, other = dict(said), list[str](), list[str]()
    for name, told in model.items():
        try:
            own, of_model = said.get(name, Geometry()), msgspec.convert(told, Geometry)
        except msgspec.ValidationError as error:
            raise InputError(f"the geometry of {name} in the mask file: {error}") from error
        found[name] = Geometry(
            own.input,
            of_model.stride if own.stride is None else own.stride,
            of_model.padding if own.padding is None else own.padding,
            own.kernel,
        )
        given = [(own.stride, of_model.stride), (own.padding, of_model.padding)]
        if any(ours is None and theirs is not None for ours, theirs in given):
            taken.append(name)
        if any(
            ours is not None and theirs is not None and _pair(ours) != _pair(theirs)
            for ours, theirs in given
        ):
            other.append(name)
    text = []
    if taken:
        first, known = taken[0], found[taken[0]]
        (rows, cols), (down, across) = _pair(known.stride or 1), _pair(known.padding or 0)
        text.append(
            f"Stride and padding of {len(taken)} "
            f"{'convolution was' if len(taken) == 1 else 'convolutions were'} read from the model "
            f"({first}: stride {rows}×{cols}, padding {down}×{across})."
        )
    if other:
        names = ", ".join(other[:3])
        text.append(f"{where} says otherwise than the model of {names}, and counts.")
    return found, " ".join(text)


def convolutions_of(
    shapes: Mapping[str, Pair],
    stored: Mapping[str, Any],
    geometry: Mapping[str, Geometry],
    where: str,
) -> dict[str, Convolution]:
    """The convolutions among matrices, by name.

    shapes: of all matrices. stored: the 4-D shapes of those that were read from 4-D arrays.
    geometry: what is known besides, from the file `where`.

    Raises:
        InputError: geometry of what is not there, or that does not fit the weights.
    """
    for name in geometry:
        if name not in shapes:
            raise InputError(f"{where}: there is no matrix {name}{nearest(name, shapes)}")
    return dict(_convolutions(shapes, stored, geometry, where))


def _convolutions(
    shapes: Mapping[str, Pair],
    stored: Mapping[str, Any],
    geometry: Mapping[str, Geometry],
    where: str,
) -> Iterator[tuple[str, Convolution]]:
    for name, (outputs, columns) in shapes.items():
        if name not in stored and name not in geometry:
            continue
        said = geometry.get(name, Geometry())
        kernel = None if said.kernel is None else _pair(said.kernel)
        if name in stored:
            height, width = (int(n) for n in stored[name][2:])
            if kernel not in (None, (height, width)):
                raise InputError(
                    f"{where}: kernel of {name} is {said.kernel}, but its weights are "
                    f"{height}×{width}; leave kernel out"
                )
            kernel = height, width
        if kernel is None:
            raise InputError(
                f"{where}: {name} is a matrix of {outputs}×{columns}; give its kernel too, so that "
                "its inputs are known"
            )
        inputs, odd = divmod(columns, kernel[0] * kernel[1])
        if odd:
            raise InputError(
                f"{where}: {name} has {columns} columns, which are no whole number of kernels of "
                f"{kernel[0]}×{kernel[1]}"
            )
        size = None if said.input is None else _pair(said.input)
        stride, padding = _pair(said.stride or 1), _pair(said.padding or 0)
        found = Convolution(outputs, inputs, kernel, size, stride, padding)
        if found.output_size is not None and min(found.output_size) < 1:
            raise InputError(
                f"{where}: {name} has a kernel of {kernel[0]}×{kernel[1]}, larger than its input "
                f"with padding; give another input or padding"
            )
        yield name, found


def said_of_convolutions(
    convolutions: Mapping[str, Convolution],
    tokens: Mapping[str, int],
    machine: str,
    is_native: bool,
) -> str:
    """How convolutions run, and what of it was assumed; "" where there are none.

    is_native: the machine runs those of known size as what they are.
    """
    known = {name: c.output_size for name, c in convolutions.items() if c.output_size is not None}
    unknown = [name for name in convolutions if name not in known]
    text = []
    unfolded = [name for name in convolutions if not is_native or name in unknown]
    if is_native and known:
        text.append(f"{_counted(list(known), 'runs', 'run')} as what {_they(known)}.")
    if unfolded:
        why = f"{machine} has no convolution of its own"
        if is_native:
            why = "their size is not known" if len(unfolded) > 1 else "its size is not known"
        text.append(
            f"{_counted(unfolded, 'runs', 'run')} as a product of outputs × (inputs · height · "
            f"width of the kernel), because {why}; its tokens are output positions."
        )
    if known:
        name, (height, width) = next(iter(known.items()))
        text.append(f"Of {len(known)} the output positions are known ({name}: {height}×{width}).")
    if unknown:
        more = "" if len(unknown) == 1 else ", …"
        text.append(
            f"Of {len(unknown)} the size of the input is not known ({unknown[0]}{more}), so "
            f"{tokens[unknown[0]]} positions are assumed, and unfolded inputs are drawn each by "
            "itself; --convolutions FILE says it."
        )
    return " ".join(text)


def _counted(names: Sequence[str], one: str, several: str) -> str:
    """How many convolutions, the first by its name, and the verb that follows."""
    if len(names) == 1:
        return f"1 convolution ({names[0]}) {one}"
    return f"{len(names)} convolutions ({names[0]}, …) {several}"


def _they(convolutions: Sized) -> str:
    return "it is" if len(convolutions) == 1 else "they are"


def _pair(value: int | list[int]) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
