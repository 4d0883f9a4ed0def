"""Do relaxed methods' gates follow their distribution, and their gradients the definitions?"""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from pruning.models.matrices import Matrix
from pruning.training.methods.head_gates import HeadGates
from pruning.training.methods.l0 import L0
from pruning.training.methods.soft_movement import SoftMovement
from pruning.training.settings import Training

torch = pytest.importorskip("torch")

SHAPE = (40, 500)


def opened(attentions: tuple[Any, ...] = ()) -> Any:
    linear = torch.nn.Linear(SHAPE[1], SHAPE[0], bias=False)
    matrices = (Matrix("a.weight", "attention out", "a", linear),)
    return SimpleNamespace(matrices=matrices, attentions=attentions, name="one layer")


@pytest.mark.parametrize("log_alpha", [-3.0, -0.5, 0.0, 1.0, 2.197])
def test_gates_are_0_as_often_as_their_distribution_says(log_alpha: float) -> None:
    torch.manual_seed(0)
    method = L0(opened(), Training())
    (parameter,) = method.parameters
    parameter.fill_(log_alpha)
    (gates,) = method.factors(0, 0.0)
    # Louizos et al. 2018, equation 12: P(gate ≠ 0) = σ(log α − β log(−γ/ζ)), P(gate = 1) likewise.
    beta, low, high = 2 / 3, -0.1, 1.1
    is_open = 1 / (1 + math.exp(-(log_alpha - beta * math.log(-low / high))))
    is_full = 1 / (1 + math.exp(-(log_alpha - beta * math.log((1 - low) / (high - 1)))))
    spread = 4 * 0.5 / math.sqrt(gates.numel())
    assert float((gates != 0).float().mean()) == pytest.approx(is_open, abs=spread)
    assert float((gates == 1).float().mean()) == pytest.approx(is_full, abs=spread)
    assert method.density() == pytest.approx(is_open, rel=1e-5)
    assert method.importance([])[0] == pytest.approx(is_open, rel=1e-5)


def test_the_gradient_of_a_gate_is_that_of_its_draw() -> None:
    method = L0(opened(), Training())
    (parameter,) = method.parameters
    torch.nn.init.normal_(parameter)
    gradient, weight = torch.randn(SHAPE), torch.randn(SHAPE)

    def loss(log_alpha: Any) -> Any:
        """What the gates of the same random numbers add to the loss, to first order."""
        torch.manual_seed(7)
        u = torch.rand(SHAPE).clamp(1e-6, 1 - 1e-6).double()
        soft = torch.sigmoid((u.log() - (1 - u).log() + log_alpha) / (2 / 3))
        return (gradient.double() * weight.double() * (1.2 * soft - 0.1).clamp(0, 1)).sum()

    expected = parameter.double().requires_grad_(True)
    loss(expected).backward()
    torch.manual_seed(7)
    method.factors(0, 0.0)
    method.learn([gradient], [weight], [])
    assert expected.grad is not None and parameter.grad is not None
    assert torch.allclose(parameter.grad.double(), expected.grad, rtol=1e-3, atol=1e-5)


def test_a_penalty_pushes_by_its_slope_in_units_of_the_gradient() -> None:
    method = SoftMovement(opened(), Training())
    (score,) = method.parameters
    torch.nn.init.normal_(score)
    gradient, weight = torch.randn(SHAPE), torch.randn(SHAPE)
    for ramp, threshold in ((0.0, 0.0), (0.5, 0.05), (1.0, 0.1)):
        (kept,) = method.factors(0, ramp)
        assert torch.equal(kept, (score.sigmoid() > threshold).float())
        assert method.density() == pytest.approx(float(kept.mean()))
    method.steer(0.02)
    method.learn([gradient], [weight], [kept])
    straight = gradient * weight
    share = score.sigmoid()
    # λ = 50 · 0.02 = 1, in units of the first gradient's root mean square.
    pushed = straight + straight.square().mean().sqrt() * 4 * share * (1 - share)
    assert torch.allclose(score.grad, pushed, rtol=1e-5, atol=1e-7)


def test_a_head_s_gate_is_multiplied_on_its_columns() -> None:
    attention = SimpleNamespace(
        heads=10, kv_heads=5, head_dim=50, out=SimpleNamespace(matrix="a.weight")
    )
    method = HeadGates(opened((attention,)), Training())
    (parameter,) = method.parameters
    assert parameter.shape == (5,)
    parameter.copy_(torch.linspace(-2, 2, 5))
    torch.manual_seed(3)
    (columns,) = method.factors(0, 0.0)
    torch.manual_seed(3)
    u = torch.rand(5).clamp(1e-6, 1 - 1e-6)
    # Voita et al. 2019, β = 0.33; two heads share a key-value head, and so its gate.
    soft = torch.sigmoid((u.log() - (1 - u).log() + parameter) / 0.33)
    gates = (1.2 * soft - 0.1).clamp(0, 1)
    assert torch.allclose(columns[0], gates.repeat_interleave(100), atol=1e-6)
    gradient, weight = torch.randn(SHAPE), torch.randn(SHAPE)
    method.learn([gradient], [weight], [])
    by_gate = (gradient * weight).sum(0).reshape(5, 100).sum(1)
    slope = torch.where((gates > 0) & (gates < 1), 1.2 * soft * (1 - soft) / 0.33, 0.0)
    assert torch.allclose(parameter.grad, by_gate * slope, rtol=1e-4, atol=1e-5)
