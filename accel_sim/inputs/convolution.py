"""The geometry of a convolution, and its inputs as the columns of a matrix."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError


@dataclass(frozen=True)
class Convolution:
    """`channels` of height × width inputs under kernels of kernel_height × kernel_width.

    stride, padding: the same along both axes; padding on every side. Its weights are a matrix of
    outputs × channels·kernel_height·kernel_width, in the order of a (out, in, kh, kw) tensor.
    """

    channels: int
    height: int
    width: int
    kernel_height: int = 1
    kernel_width: int = 1
    stride: int = 1
    padding: int = 0

    def __post_init__(self) -> None:
        sizes = (self.channels, self.height, self.width, self.kernel_height, self.kernel_width)
        if min(*sizes, self.stride) < 1 or self.padding < 0:
            raise InputError(f"{self}: give sizes and a stride of 1 or more, padding of 0 or more")
        if min(self.output_height, self.output_width) < 1:
            raise InputError(f"{self}: the kernel is larger than the padded input")

    @property
    def output_height(self) -> int:
        return (self.height + 2 * self.padding - self.kernel_height) // self.stride + 1

    @property
    def output_width(self) -> int:
        return (self.width + 2 * self.padding - self.kernel_width) // self.stride + 1

    @property
    def positions(self) -> int:
        """Outputs of each kernel."""
        return self.output_height * self.output_width

    @property
    def inputs(self) -> int:
        """Inputs of each output: columns of the matrix."""
        return self.channels * self.kernel_height * self.kernel_width

    def unfold(self, plane: NDArray[Any]) -> NDArray[Any]:
        """What each position's kernel covers: (positions, inputs), zeros where it is padding.

        plane: (channels, height, width).
        """
        p, s = self.padding, self.stride
        padded = np.pad(plane, ((0, 0), (p, p), (p, p)))
        windows = np.lib.stride_tricks.sliding_window_view(
            padded, (self.kernel_height, self.kernel_width), axis=(1, 2)
        )[:, ::s, ::s]
        # (channels, positions down, positions across, kernel rows, kernel columns)
        return windows.transpose(1, 2, 0, 3, 4).reshape(self.positions, self.inputs)
