"""Scaling, adding gradients, and the three formulations of reversal."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from grl import add_gradient, gradient_clip, gradient_reversal, gradient_scale
from grl.formulations import reverse_with_function, reverse_with_hook, reverse_with_stop_gradient

FORMULATIONS = [reverse_with_function, reverse_with_stop_gradient, reverse_with_hook]


@given(factor=st.floats(-1e6, 1e6), shape=st.lists(st.integers(1, 4), max_size=3))
def test_scale_by_any_factor(factor: float, shape: list[int]) -> None:
    x, dy = torch.randn(shape, requires_grad=True), torch.randn(shape)
    y = gradient_scale(x, factor)
    assert torch.equal(y, x)
    assert torch.equal(torch.autograd.grad(y, x, dy)[0], dy * factor)


def test_scale_per_sample_and_in_a_pytree() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    y = gradient_scale({"a": x}, torch.tensor([-1.0, 2.0]))["a"]
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [[-1.0] * 3, [2.0] * 3]


@pytest.mark.parametrize("factor", [math.nan, math.inf, -math.inf, torch.tensor(-math.inf), torch.tensor(math.nan)])
def test_bad_factor(factor: float | Tensor) -> None:
    with pytest.raises(ValueError, match=r"factor must be finite, got (nan|inf|-inf)"):
        gradient_scale(torch.ones(2), factor)


def test_bad_x() -> None:
    with pytest.raises(TypeError, match=r"x must have a floating or complex dtype, got torch.int64"):
        gradient_scale(torch.ones(2, dtype=torch.int64), 1.0)


def test_add_gradient_to_a_square_gives_two_x_plus_three_x_squared() -> None:
    x = torch.linspace(-2, 2, 9, requires_grad=True)
    y = add_gradient(x**2, x**3)
    assert torch.equal(y, x**2)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0], 2 * x + 3 * x**2)


def test_add_gradient_value_is_exact_where_the_sum_would_round() -> None:
    f, g = torch.tensor([1.0, 1e-8]), torch.tensor([1e8, -1e8])
    assert torch.equal(add_gradient(f, g), f)


def test_add_gradient_broadcasts_to_the_first_only() -> None:
    f, g = torch.zeros(2, 3), torch.zeros(3)
    assert add_gradient(f, g).shape == (2, 3)
    for wrong in (torch.zeros(2), torch.zeros(1, 2, 3), torch.zeros(4, 3)):
        with pytest.raises(ValueError, match=r"g must broadcast to the shape of f, \(2, 3\), got"):
            add_gradient(f, wrong)


@pytest.mark.parametrize("reverse", FORMULATIONS)
def test_reversal_of_a_square_gives_minus_two_x(reverse) -> None:
    x = torch.linspace(-2, 2, 9, requires_grad=True)
    y = reverse(x**2)
    assert torch.equal(y, x**2)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0], -2 * x)


@given(alpha=st.floats(0, 100), seed=st.integers(0, 1000))
def test_the_three_formulations_are_equal(alpha: float, seed: int) -> None:
    """In value bit for bit; in the first and in the second gradient to rounding."""
    x = torch.randn(5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()
    results = []
    for reverse in FORMULATIONS:
        y = reverse(x.sin(), alpha)
        (first,) = torch.autograd.grad((y**3).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), x)
        results.append((y, first, second))
    for y, first, second in results[1:]:
        assert torch.equal(y, results[0][0])
        torch.testing.assert_close(first, results[0][1])
        torch.testing.assert_close(second, results[0][2])


def test_the_textbook_form_is_two_stops_minus_x() -> None:
    x = torch.randn(100, requires_grad=True)
    textbook = 2 * x.detach() - x
    assert torch.equal(reverse_with_stop_gradient(x), textbook)
    assert torch.equal(torch.autograd.grad(textbook.sum(), x)[0], torch.autograd.grad(gradient_reversal(x).sum(), x)[0])


@pytest.mark.parametrize("reverse", FORMULATIONS)
def test_formulations_refuse_a_negative_alpha(reverse) -> None:
    with pytest.raises(ValueError, match=r"alpha must be finite and >= 0, got -1\.0"):
        reverse(torch.ones(2), -1.0)


def test_the_hook_leaves_a_tensor_without_gradients_alone() -> None:
    assert not reverse_with_hook(torch.ones(2), 0.5).requires_grad


@given(
    norm=st.floats(0.01, 100),
    max_norm=st.floats(0.01, 100),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.complex64]),
)
def test_clip_against_the_formula(norm: float, max_norm: float, dtype: torch.dtype) -> None:
    x = torch.randn(3, 4, dtype=dtype, requires_grad=True)
    dy = torch.randn(3, 4, dtype=dtype)
    dy = dy / dy.norm() * norm
    y = gradient_clip(x, max_norm)
    assert torch.equal(y, x)
    (grad,) = torch.autograd.grad(y, x, dy)
    assert grad.dtype == dtype
    tolerance = 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(grad, dy * min(1.0, max_norm / norm), rtol=tolerance, atol=tolerance * norm)


def test_clip_in_front_of_the_reversal() -> None:
    x = torch.ones(4, requires_grad=True)
    (grad,) = torch.autograd.grad((gradient_reversal(gradient_clip(x, 1.0), 0.5) * 3.0).sum(), x)
    assert grad.tolist() == [-0.5] * 4  # half of 6 is longer than 1
    (grad,) = torch.autograd.grad((gradient_reversal(gradient_clip(x, 1e9), 0.5) * 3.0).sum(), x)
    assert grad.tolist() == [-1.5] * 4
    (zero,) = torch.autograd.grad((gradient_clip(x, 1.0) * 0.0).sum(), x)
    assert zero.tolist() == [0.0] * 4


def test_clip_of_a_pytree_limits_each_leaf_by_itself() -> None:
    one, two = torch.ones(4, requires_grad=True), torch.ones(4, requires_grad=True)
    y = gradient_clip({"one": one, "two": two, "n": 3}, 1.0)
    grads = torch.autograd.grad((y["one"] * 3).sum() + y["two"].sum() * 0.1, (one, two))
    torch.testing.assert_close(grads[0], torch.full((4,), 0.5))
    torch.testing.assert_close(grads[1], torch.full((4,), 0.1))


def clip_by_hand(x: Tensor) -> Tensor:
    (grad,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    return grad * (1.0 / grad.norm()).clamp(max=1.0)


def test_clip_twice_differentiated_and_under_vmap() -> None:
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad((gradient_clip(x, 1.0) ** 3).sum(), x, create_graph=True)
    expected = clip_by_hand(x)
    torch.testing.assert_close(first, expected)
    torch.testing.assert_close(torch.autograd.grad(first.sin().sum(), x), torch.autograd.grad(expected.sin().sum(), x))
    rows = torch.stack([x.detach(), x.detach() / 10])
    each = torch.func.vmap(torch.func.grad(lambda v: (gradient_clip(v, 1.0) ** 3).sum()))(rows)
    torch.testing.assert_close(each[0], first.detach())
    torch.testing.assert_close(each[1], 3 * rows[1] ** 2)


@pytest.mark.parametrize("max_norm", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("start", [0.0, 1e-30, 1e-21, 1e-3, 1.0, 30.0])
def test_clip_twice_differentiated_wherever_the_gradient_is(start: float, max_norm: float) -> None:
    """At 0 and near it the clip is the identity, whose derivative is 1."""
    x, dy = torch.zeros(3, requires_grad=True), torch.full((3,), start, requires_grad=True)
    (first,) = torch.autograd.grad(gradient_clip(x, max_norm), x, dy, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), dy)
    if dy.norm() < max_norm:
        assert second.tolist() == [1.0] * 3
    else:  # all entries grow alike, and the norm stays
        torch.testing.assert_close(second, torch.zeros(3), rtol=0.0, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.complex64])
@pytest.mark.parametrize("size", [1e-38, 1e-25, 1e-20, 1e-10, 1e10, 1e18, 1e25, 1e30, 1e37])
def test_clip_of_what_is_large_or_small(size: float, dtype: torch.dtype) -> None:
    x, dy = torch.zeros(4, dtype=dtype, requires_grad=True), torch.tensor([1.0, -2.0, 0.0, 2.0]).to(dtype) * size
    (grad,) = torch.autograd.grad(gradient_clip(x, 1.0), x, dy)
    expected = dy if size * 3 < 1.0 else torch.tensor([1.0, -2.0, 0.0, 2.0]).to(dtype) / 3
    torch.testing.assert_close(grad, expected, rtol=4 * torch.finfo(dtype).eps, atol=0.0)


def test_clip_of_large_doubles_and_of_nothing() -> None:
    x, dy = torch.zeros(2, dtype=torch.float64, requires_grad=True), torch.tensor([3e300, 4e300], dtype=torch.float64)
    (grad,) = torch.autograd.grad(gradient_clip(x, 1.0), x, dy)
    torch.testing.assert_close(grad, torch.tensor([0.6, 0.8], dtype=torch.float64))
    empty = torch.zeros(0, 3, requires_grad=True)
    assert torch.autograd.grad(gradient_clip(empty, 1.0).sum(), empty)[0].shape == (0, 3)


@pytest.mark.parametrize("dy", [[math.nan, 1.0], [math.inf, 1.0], [-math.inf, 0.0]])
def test_clip_does_not_hide_what_is_not_finite(dy: list[float]) -> None:
    x = torch.zeros(2, requires_grad=True)
    assert torch.autograd.grad(gradient_clip(x, 1.0), x, torch.tensor(dy))[0][0].isnan()


def test_clip_keeps_its_digits() -> None:
    """Values of ordinary size are those of the plain formula, to the bit."""
    for seed in range(50):
        torch.manual_seed(seed)
        dy = torch.randn(20) * 10.0 ** (seed % 12 - 4)
        x = torch.zeros(20, requires_grad=True)
        (grad,) = torch.autograd.grad(gradient_clip(x, 0.3), x, dy)
        assert torch.equal(grad, dy * (0.3 / dy.square().sum().sqrt()).clamp(max=1.0))


def test_what_is_traced_symbolically_keeps_every_trick() -> None:
    class Tricks(torch.nn.Module):
        def forward(self, v: Tensor) -> Tensor:
            return add_gradient(gradient_clip(gradient_scale(v, -2.0), 1.0), v)

    network = Tricks()
    traced = torch.fx.symbolic_trace(network)
    x = torch.tensor([3.0, 4.0], requires_grad=True)
    for dy in (torch.tensor([3.0, 4.0]), torch.tensor([0.3, 0.4])):
        expected = torch.autograd.grad(network(x), x, dy)
        torch.testing.assert_close(torch.autograd.grad(traced(x), x, dy), expected)
        torch.testing.assert_close(expected[0], dy - 2.0 * dy * min(1.0, 1.0 / dy.norm().item()))


# PyTorch's own forward mode compiles its rules with it.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_clip_under_compile_is_right_or_refused() -> None:
    x = torch.ones(4, requires_grad=True)
    torch._dynamo.reset()
    compiled = torch.compile(lambda v: (gradient_clip(v, 1.0) * 3).sum(), backend="aot_eager", fullgraph=True)
    assert torch.autograd.grad(compiled(x), x)[0].tolist() == [0.5] * 4
    for derive in (torch.func.grad, lambda f: lambda v: torch.func.jvp(f, (v,), (v,))[1]):
        torch._dynamo.reset()
        with pytest.raises(Exception, match=r"gradient_clip cannot be differentiated by torch\.func inside"):
            torch.compile(derive(lambda v: (gradient_clip(v, 1.0) * 3).sum()), backend="eager", fullgraph=True)(
                x.detach()
            )
    with pytest.raises(RuntimeError, match=r"must implement the jvp function"):
        torch.func.jvp(lambda v: gradient_clip(v, 1.0), (x.detach(),), (x.detach(),))

    class Clipped(torch.nn.Module):
        def forward(self, v: Tensor) -> Tensor:
            return gradient_clip(v, 1.0)

    with pytest.raises(RuntimeError, match="gradient_clip cannot be exported"):
        torch.export.export(Clipped(), (x.detach(),))


@pytest.mark.parametrize("max_norm", [0.0, -1.0, math.nan, math.inf])
def test_bad_max_norm(max_norm: float) -> None:
    with pytest.raises(ValueError, match=r"max_norm must be finite( and > 0)?, got"):
        gradient_clip(torch.ones(2), max_norm)
