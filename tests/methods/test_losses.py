"""Identities of the loss terms, and their agreement with plain formulas."""

import pytest
import torch
from torch.nn.functional import cross_entropy, log_softmax

from harc.methods.harc import coupling_cost, slot_cosines
from harc.training.forward import cross_entropy_sum, kl_sum


def harmful_benign() -> torch.Tensor:
    return torch.tensor([True, False])


def test_no_cost_beyond_the_margin_and_below_zero():
    refusal, harm = torch.tensor([[0.5, 0.0]]), torch.tensor([[0.9, -0.4]])
    assert coupling_cost(refusal, harm, harmful_benign(), 0.5).sum() == 0


def test_cost_grows_with_the_gap_on_both_axes():
    refusal, harm = torch.tensor([[0.1, 0.2]]), torch.tensor([[-0.1, 0.3]])
    torch.testing.assert_close(
        coupling_cost(refusal, harm, harmful_benign(), 0.5), torch.tensor([[0.4 + 0.6, 0.2 + 0.3]])
    )


def test_directions_are_held_fixed():
    hidden = torch.randn(2, 3, 8, requires_grad=True)
    directions = torch.randn(2, 8, requires_grad=True)
    slot_cosines(hidden, directions).sum().backward()
    assert hidden.grad is not None and directions.grad is None


def test_cosine_of_a_zero_direction_is_zero():
    assert slot_cosines(torch.randn(1, 3, 8), torch.zeros(1, 8)).abs().sum() == 0


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_chunks_change_neither_value_nor_gradient(chunk: int):
    torch.manual_seed(0)
    head = torch.nn.Linear(6, 11)
    hidden, teacher = torch.randn(7, 6, requires_grad=True), torch.randn(7, 6)
    labels = torch.randint(0, 11, (7,))
    target = log_softmax(head(teacher), -1).detach()
    plain = (target.exp() * (target - log_softmax(head(hidden), -1))).sum()
    plain = 2 * plain + 3 * cross_entropy(head(hidden), labels, reduction="sum")
    (expected,) = torch.autograd.grad(plain, hidden)
    found = 2 * kl_sum(hidden, teacher, head, chunk) + 3 * cross_entropy_sum(hidden, labels, head, chunk)
    (gradient,) = torch.autograd.grad(found, hidden)
    torch.testing.assert_close(found, plain)
    torch.testing.assert_close(gradient, expected)


def test_kl_of_a_model_with_itself_is_zero():
    hidden = torch.randn(5, 4)
    assert kl_sum(hidden, hidden.clone(), torch.nn.Linear(4, 9)).abs() < 1e-6
