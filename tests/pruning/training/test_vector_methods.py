"""Do group lasso and regrowth do to whole vectors what their definitions say?"""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pruning.models.matrices import Matrix
from pruning.training.methods.group_lasso import GroupLasso
from pruning.training.methods.regrowth import MEMORY, Regrowth
from pruning.training.settings import Training

torch = pytest.importorskip("torch")


def opened(weight: Any, kind: str = "Q") -> Any:
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.weight.data = weight.clone()
    matrix = Matrix("a.weight", kind, "a", linear)  # type: ignore[arg-type]
    return SimpleNamespace(matrices=(matrix,), name="one layer")


def test_group_lasso_takes_the_same_from_the_norm_of_each_vector() -> None:
    # Two rows of two vectors of 2 and one input left over: norms 5, 0.1; 1, 13. Mean 4.775.
    weight = torch.tensor([[3.0, 4.0, 0.1, 0.0, 7.0], [0.6, 0.8, 5.0, 12.0, 7.0]])
    taken = 0.2 * 4.775
    shrunk = torch.tensor([1 - taken / 5, 0.0, 1 - taken / 1, 1 - taken / 13])
    expected = weight.clone()
    expected[:, :4] *= shrunk.reshape(2, 2).repeat_interleave(2, 1)
    settings = Training(lasso=0.2, lasso_length=2)
    found = weight.clone()
    GroupLasso(opened(weight), settings).rebuild([found])
    assert torch.allclose(found, expected)
    # FFN1 is cut into columns.
    upright = weight.T.contiguous()
    GroupLasso(opened(upright, "FFN1"), settings).rebuild([upright])
    assert torch.allclose(upright.T, expected)


def test_what_is_dropped_is_ranked_by_its_gradient_and_comes_back_at_zero() -> None:
    weight = torch.tensor([[4.0, -2.0, 9.0, 9.0]])
    method = Regrowth(opened(weight), Training(pull=0.5))
    np.testing.assert_allclose(
        method.importance([weight])[0], [[2 / 3, 1 / 3, 1.5, 1.5]], rtol=1e-6
    )
    gradient, keep = torch.tensor([[1.0, 1.0, -2.0, 8.0]]), torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    method.learn([gradient], [weight], [keep])
    method.rebuild([weight])
    assert weight.tolist() == [[4.0, -2.0, 0.0, 0.0]]
    # Kept: |W| in means of 3. Dropped: half of the gradient in means of 3.
    np.testing.assert_allclose(
        method.importance([weight])[0], [[4 / 3, 2 / 3, 1 / 3, 4 / 3]], rtol=1e-6
    )
    # An older gradient fades, and what is kept again has its own weight.
    method.learn([torch.zeros(1, 4)], [weight], [torch.ones(1, 4)])
    assert torch.allclose(method.gradients[0], MEMORY * (1 - MEMORY) * gradient)
    np.testing.assert_allclose(
        method.importance([weight])[0], [[4 / 1.5, 2 / 1.5, 0, 0]], rtol=1e-6
    )
