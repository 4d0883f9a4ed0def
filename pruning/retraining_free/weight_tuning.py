"""Making up for what went: least squares on a sublayer's output projection, from sums alone.

With F the features that stay (tokens × width), R = Y_dense − Y the gap between the dense model's
residual sum and this one's, the change Δ of the projection's columns that closes most of it is

    argmin ‖F Δᵀ − R‖² + λ·(mean diagonal of FᵀF)·‖Δ‖²,   (FᵀF + λ…I) Δᵀ = FᵀR.

Only FᵀF, FᵀR and ‖R‖² are kept, in float64 and batch by batch: no features lie in memory, and the
error after tuning is known without another pass. The ridge pulls towards the weights as they are,
so a feature that never fires keeps its column.

Source: K-prune (Park et al. 2024), section 4.3 (KPWT), which solves the normal equations in
float32 without a ridge and keeps the old weights where that fails.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pruning.models.devices import exact
from pruning.retraining_free.partial_run import Batch, run
from pruning.retraining_free.sublayers import Encoder, Kept, Sublayer

if TYPE_CHECKING:
    from torch import Tensor

RIDGE = 1e-3
"""Default λ (chosen)."""

LEAST_RIDGE = 1e-9
"""Smallest λ: less of it is lost in the rounding of some thousand features, and FᵀF + λ…I is no
longer positive definite where features depend on each other (chosen)."""


@dataclass(frozen=True, eq=False)
class Normal:
    """The normal equations of a sublayer's kept features, float64.

    gram: FᵀF (width, width); cross: FᵀR (width, hidden); gap: ‖R‖²; size: ‖Y_dense − its mean over
    all entries‖², what a gap is compared with.
    """

    gram: NDArray[np.float64]
    cross: NDArray[np.float64]
    gap: float
    size: float

    def gap_after(self, change: NDArray[np.float64]) -> float:
        """‖R − F Δᵀ‖² for Δᵀ = `change` (width, hidden)."""
        fitted = float(np.sum(change * self.cross))
        bent = float(np.sum(change * (self.gram @ change)))
        return max(self.gap - 2 * fitted + bent, 0.0)


@dataclass(frozen=True)
class Tuned:
    """Relative error ‖Y_dense − Y‖² / ‖Y_dense − mean‖² of a residual sum before and after."""

    error_before: float
    error_after: float


def normal_equations(
    encoder: Encoder,
    batches: Sequence[Batch],
    sublayer: Sublayer,
    keep: Kept,
    dense: "Sequence[Tensor]",
    gates: "dict[Sublayer, Tensor] | None" = None,
) -> Normal:
    """The sums over all batches. dense: the wanted residual sums by batch, (tokens, hidden)."""
    import torch

    wide = np.repeat(keep, sublayer.width)
    columns = torch.from_numpy(np.flatnonzero(wide))
    width, hidden = len(columns), sublayer.out.shape[0]
    nothing = exact(sublayer.out.view.new_zeros(0))
    gram, cross = nothing.new_zeros(width, width), nothing.new_zeros(width, hidden)
    total, total_square, gap, entries = 0.0, 0.0, 0.0, 0
    with torch.no_grad():
        for batch, wanted in zip(batches, dense, strict=True):
            seen = run(encoder, batch, sublayer.layer, sublayer.layer + 1, gates, [sublayer])
            features = exact(batch.rows_of(seen.features[0])[:, columns])
            rest = exact(wanted - batch.rows_of(seen.sums[0]))
            gram.addmm_(features.T, features)
            cross.addmm_(features.T, rest)
            gap += float(rest.square().sum())
            total += float(exact(wanted).sum())
            total_square += float(exact(wanted).square().sum())
            entries += wanted.numel()
    size = total_square - total**2 / max(entries, 1)
    return Normal(gram.cpu().numpy(), cross.cpu().numpy(), gap, size)


def solve(normal: Normal, ridge: float) -> NDArray[np.float64]:
    """Δᵀ (width, hidden); zero where no feature ever fires."""
    from scipy.linalg import cho_factor, cho_solve

    mean = float(np.diag(normal.gram).mean()) if len(normal.gram) else 0.0
    if mean <= 0:
        return np.zeros_like(normal.cross)
    regular = normal.gram.copy()
    regular[np.diag_indices_from(regular)] += ridge * mean
    factor = cho_factor(regular, lower=True, overwrite_a=True, check_finite=False)
    return cho_solve(factor, normal.cross, check_finite=False)


def tune(sublayer: Sublayer, keep: Kept, normal: Normal, ridge: float) -> Tuned:
    """Change the kept columns of the output projection in place."""
    import torch

    change = solve(normal, ridge)
    columns = torch.from_numpy(np.flatnonzero(np.repeat(keep, sublayer.width)))
    view = sublayer.out.view
    view[:, columns] += torch.from_numpy(change.T).to(view.dtype).to(view.device)
    scale = normal.size if normal.size > 0 else 1.0
    return Tuned(normal.gap / scale, normal.gap_after(change) / scale)


def remove(sublayer: Sublayer, keep: Kept) -> None:
    """Zero the columns of the output projection whose units go."""
    import torch

    gone = torch.from_numpy(np.flatnonzero(~np.repeat(keep, sublayer.width)))
    sublayer.out.view[:, gone] = 0
