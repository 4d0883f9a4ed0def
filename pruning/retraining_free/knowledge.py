"""What each head and neuron knows: how much would be lost with it, before anything makes up for it.

Predictive knowledge is the change of the answer: ½ of the second derivative of the distance
L = T²·KL(dense ‖ pruned) at temperature T (regression: the squared difference) along the unit's
gate m. At the dense model the gradient of L is zero, so the published ½(∂L/∂m)² is zero on the
first sublayer, and measures drift on the others. The Gauss–Newton matrix does not vanish:

    K = ½ E_x[ Jᵀ(diag q − q qᵀ) J ],   J = ∂z/∂m,  q = softmax(z/T);  T² and both 1/T cancel.

Representational knowledge is the change of the sublayer's own output: E_t ‖W_u F_u‖² / hidden.

Source: K-prune (Park et al., ICLR 2024), section 4.1 and its code. Per example, and with one gate
a head, so that its features count together, is this project's correction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pruning.models.devices import exact
from pruning.retraining_free.partial_run import Batch, learning_gates, run
from pruning.retraining_free.sublayers import Encoder, Sublayer

if TYPE_CHECKING:
    from torch import Generator, Tensor

EXACT_CLASSES = 8
"""Up to so many classes the Gauss–Newton form is exact, in C − 1 backward passes (chosen)."""

DRAWS = 4
"""Answers drawn for each example where it is not exact (chosen)."""

PREDICTIVE = ("gauss_newton", "squared_gradient")


@dataclass(frozen=True)
class Knowledge:
    """Of the units of one sublayer: predictive (nats an example) and representational (squared
    output a token and channel), float64 (units,)."""

    predictive: NDArray[np.float64]
    representational: NDArray[np.float64]


def knowledge(
    encoder: Encoder,
    batches: Sequence[Batch],
    first: int,
    temperature: float,
    predictive: str = "gauss_newton",
    dense: "Sequence[Tensor] | None" = None,
    seed: int = 0,
) -> list[Knowledge]:
    """The knowledge of sublayers number `first` and above, from where the batches have come to.

    predictive: of `PREDICTIVE`; "squared_gradient" needs `dense`, the answers (`answer_of`) of the
    dense model to each batch.
    """
    import torch

    watched = encoder.sublayers[first:]
    answers = [exact(s.out.view.new_zeros(s.count)) for s in watched]
    outputs = [exact(s.out.view.new_zeros(s.count)) for s in watched]
    random = torch.Generator().manual_seed(seed)
    with learning_gates(encoder):
        for number, batch in enumerate(batches):
            target = None if dense is None else dense[number]
            found = _of_batch(encoder, batch, watched, temperature, predictive, target, random)
            for i, (answer, output) in enumerate(found):
                answers[i] += answer
                outputs[i] += output
    examples = sum(len(batch.taken) for batch in batches)
    tokens = sum(int(batch.taken.sum()) for batch in batches)
    return [
        Knowledge(
            (answer / (2 * examples)).cpu().numpy(), (output / (hidden * tokens)).cpu().numpy()
        )
        for answer, output, hidden in zip(
            answers, outputs, [s.out.shape[0] for s in watched], strict=True
        )
    ]


def _of_batch(
    encoder: Encoder,
    batch: Batch,
    watched: Sequence[Sublayer],
    temperature: float,
    predictive: str,
    dense: "Tensor | None",
    random: "Generator",
) -> "list[tuple[Tensor, Tensor]]":
    """Both sums of every sublayer: of J² over examples, of ‖W_u F_u‖² over tokens.

    Whatever a run leaves behind, several times the hidden states of all layers, goes with it.
    """
    import torch

    seen = run(encoder, batch, watched[0].layer, watched=watched)
    if predictive == "gauss_newton":
        probes = list(_probes(encoder, seen.output, batch, temperature, random))
    else:
        assert dense is not None
        probes = [_distance(encoder, seen.output, dense, temperature)]
    answers = [exact(s.out.view.new_zeros(s.count)) for s in watched]
    for k, probe in enumerate(probes):
        more = k + 1 < len(probes)
        slopes = torch.autograd.grad(probe, seen.features, retain_graph=more)
        for sums, sublayer, features, slope in zip(
            answers, watched, seen.features, slopes, strict=True
        ):
            sums += _squares(features.detach() * slope, sublayer, predictive)
    outputs = [
        _output_change(batch.rows_of(features.detach()), sublayer)
        for sublayer, features in zip(watched, seen.features, strict=True)
    ]
    return list(zip(answers, outputs, strict=True))


def answer_of(encoder: Encoder, output: Any) -> "Tensor":
    """The logits of a model's output, (rows, classes), or start and end, (rows, 2, length)."""
    import torch

    if encoder.opened.task == "answer":
        return torch.stack([output.start_logits, output.end_logits], 1)
    return output.logits


def _probes(
    encoder: Encoder, output: Any, batch: Batch, temperature: float, random: "Generator"
) -> "Iterator[Tensor]":
    """Σ over examples of v·z for vectors v with E[Σ v vᵀ] = diag q − q qᵀ, one after the other."""
    import torch

    z = answer_of(encoder, output)
    if encoder.opened.task == "answer":
        z = z.masked_fill(~batch.taken[:, None], float("-inf"))
        # The distance of a span is the mean of its two ends'.
        yield from _drawn(z, temperature, random, scale=0.5**0.5)
        return
    if z.shape[1] == 1:
        # (z − z₀)² has the second derivative 2.
        yield 2**0.5 * z.sum()
        return
    if z.shape[1] > EXACT_CLASSES:
        yield from _drawn(z, temperature, random)
        return
    q = torch.softmax(exact(z.detach()) / temperature, -1)
    values, vectors = torch.linalg.eigh(torch.diag_embed(q) - q[:, :, None] * q[:, None, :])
    factors = vectors * values.clamp_min(0).sqrt()[:, None, :]
    # The smallest eigenvalue is 0: equal logits are the same answer.
    for k in range(1, z.shape[1]):
        yield (factors[:, :, k].to(z) * z).sum()


def _drawn(
    z: "Tensor", temperature: float, random: "Generator", scale: float = 1.0
) -> "Iterator[Tensor]":
    """v = e_y − q for answers y drawn from q: E[v vᵀ] = diag q − q qᵀ.

    Start and end are drawn independently, so their cross terms vanish in the mean.
    """
    import torch

    q = torch.softmax(z.detach() / temperature, -1)
    flat = q.reshape(-1, q.shape[-1])
    for _ in range(DRAWS):
        drawn = torch.multinomial(flat.cpu(), 1, generator=random).to(flat.device)
        v = (torch.zeros_like(flat).scatter_(1, drawn, 1.0) - flat).reshape(q.shape)
        yield scale * DRAWS**-0.5 * (v * z.masked_fill(z == float("-inf"), 0)).sum()


def _distance(encoder: Encoder, output: Any, dense: "Tensor", temperature: float) -> "Tensor":
    """The published distance of a batch, a mean over its examples (and the two ends of a span)."""
    import torch.nn.functional as F

    z = answer_of(encoder, output)
    if z.dim() == 2 and z.shape[1] == 1:
        return F.mse_loss(z, dense)
    ours, theirs = (x.reshape(-1, x.shape[-1]) / temperature for x in (z, dense))
    ours, theirs = F.log_softmax(ours, -1), F.log_softmax(theirs, -1)
    return temperature**2 * F.kl_div(ours, theirs, reduction="batchmean", log_target=True)


def _squares(products: "Tensor", sublayer: Sublayer, predictive: str) -> "Tensor":
    """Σ over examples of J² by unit, float64 (units,); products: F · ∂/∂F, (rows, length, …).

    As published: of a batch, by feature, summed over the unit's.
    """
    by_row = exact(products).sum(1).reshape(len(products), sublayer.count, sublayer.width)
    if predictive == "gauss_newton":
        return by_row.sum(2).square().sum(0)
    return by_row.sum(0).square().sum(1)


def _output_change(features: "Tensor", sublayer: Sublayer) -> "Tensor":
    """Σ over tokens ‖W_u F_u‖² by unit, float64 (units,); features: (tokens, count · width)."""
    import torch

    by_unit = features.reshape(len(features), sublayer.count, sublayer.width)
    weight = sublayer.out.view.reshape(-1, sublayer.count, sublayer.width)
    if sublayer.width == 1:
        return (exact(by_unit).square().sum(0) * exact(weight).square().sum(0)).squeeze(1)
    gram = exact(torch.einsum("tci,tcj->cij", by_unit, by_unit))
    product = exact(torch.einsum("oci,ocj->cij", weight, weight))
    return (gram * product).sum((1, 2))
