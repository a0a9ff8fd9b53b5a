"""The layer's mechanism: identity forward, -alpha times the gradient backward, clear errors."""

import math
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from grl import GradientReversal, gradient_reversal


def differentiate(loss: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, inputs)


@pytest.mark.parametrize("alpha", [1.0, 0.25])
def test_linear_layer_linear(alpha: float) -> None:
    """The first layer's gradient is -alpha times what it is without; the second layer's is the same."""
    torch.manual_seed(0)
    first, second, x = nn.Linear(4, 3), nn.Linear(3, 2), torch.randn(5, 4)
    parameters = (first.weight, first.bias, second.weight, second.bias)
    plain = differentiate(second(first(x)).square().sum(), *parameters)
    for reverse in (lambda y: gradient_reversal(y, alpha), GradientReversal(alpha)):
        mine = differentiate(second(reverse(first(x))).square().sum(), *parameters)
        assert all(torch.equal(a, -alpha * b) for a, b in zip(mine[:2], plain[:2], strict=True))
        assert all(torch.equal(a, b) for a, b in zip(mine[2:], plain[2:], strict=True))


def test_three_layers_with_the_published_numbers() -> None:
    """A published listing with its captions swapped: the first numbers are those without reversal."""
    published = torch.tensor(
        [
            [0.0027, 0.0044, 0.0026],
            [0.0420, 0.0675, 0.0400],
            [0.0030, 0.0048, 0.0029],
            [-0.0035, -0.0056, -0.0033],
            [0.0336, 0.0540, 0.0320],
            [0.0454, 0.0729, 0.0432],
        ]
    )
    torch.manual_seed(0)
    layers = [nn.Linear(3, 6), nn.Linear(6, 10), nn.Linear(10, 2)]
    x = torch.rand(4, 3)
    labels = torch.ones(4, dtype=torch.int64)

    def run(*network: nn.Module) -> list[Tensor]:
        loss = F.cross_entropy(nn.Sequential(*network)(x), labels)
        return list(differentiate(loss, *(layer.weight for layer in layers)))

    plain = run(*layers)
    mine = run(layers[0], GradientReversal(), *layers[1:])
    torch.testing.assert_close(plain[0], published, rtol=0, atol=5e-5)
    torch.testing.assert_close(mine[0], -published, rtol=0, atol=5e-5)
    assert torch.equal(mine[1], plain[1])
    assert torch.equal(mine[2], plain[2])


def test_five_x_plus_six() -> None:
    x = torch.tensor([2.0], requires_grad=True)
    (plain,) = differentiate(x * 5 + 6, x)
    (mine,) = differentiate(gradient_reversal(x * 5, torch.tensor([1.0])) + 6, x)
    assert plain.item() == 5.0
    assert mine.item() == -5.0


def test_a_layer_object_with_a_constant_property() -> None:
    """The custom-layer form used in MATLAB: a property, an identity forward, a backward of -alpha · dy."""
    layer = GradientReversal(0.3)
    assert layer.alpha.item() == pytest.approx(0.3)
    x, dy = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3)
    y = layer(x)
    assert torch.equal(y, x)
    y.backward(dy)
    torch.testing.assert_close(x.grad, -0.3 * dy)


def test_it_keeps_no_count() -> None:
    """Calling twice, in evaluation, or without gradients changes nothing."""
    layer = GradientReversal(0.5)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    for _ in range(2):
        layer(torch.ones(2))
        with torch.no_grad():
            layer.eval()(torch.ones(2))
    assert {name: value.item() for name, value in layer.state_dict().items()} == {"alpha": 0.5}
    assert before.keys() == layer.state_dict().keys()
    x = torch.ones(2, requires_grad=True)
    assert torch.equal(differentiate(layer(x).sum(), x)[0], torch.full((2,), -0.5))


DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64, torch.complex128]


@given(
    shape=st.lists(st.integers(0, 4), max_size=4),
    alpha=st.floats(0, 1e6),
    dtype=st.sampled_from(DTYPES),
    copy=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_any_shape_dtype_and_alpha(shape: list[int], alpha: float, dtype: torch.dtype, copy: bool, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()
    dy = torch.randn(shape, generator=generator, dtype=dtype)
    y = gradient_reversal(x, alpha, copy=copy)
    assert torch.equal(y, x)
    assert y.dtype == dtype
    (grad,) = torch.autograd.grad(y, x, dy)
    assert grad.dtype == dtype
    assert torch.equal(grad, dy * -alpha)


@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), data=st.data())
def test_one_coefficient_per_sample(shape: list[int], data: st.DataObject) -> None:
    """Alpha is matched with the leading dimensions, whatever the others are."""
    kept = data.draw(st.integers(1, len(shape)))
    alpha_shape = [data.draw(st.sampled_from([1, size])) for size in shape[:kept]]
    alpha = torch.rand(alpha_shape, dtype=torch.float64)
    x = torch.randn(shape, requires_grad=True)
    dy = torch.randn(shape)
    (grad,) = torch.autograd.grad(gradient_reversal(x, alpha), x, dy)
    full = alpha.reshape(alpha_shape + [1] * (len(shape) - kept)) if alpha.numel() > 1 else alpha.reshape(())
    assert grad.dtype == x.dtype
    torch.testing.assert_close(grad, (-full * dy.double()).float())


def test_per_sample_rows_are_the_single_results() -> None:
    x = torch.randn(3, 3, requires_grad=True)
    (grad,) = differentiate(gradient_reversal(x, torch.tensor([0.0, 1.0, 2.0])).sum(), x)
    assert torch.equal(grad, torch.tensor([[0.0] * 3, [-1.0] * 3, [-2.0] * 3]))


def test_a_wider_alpha_does_not_widen_the_gradient() -> None:
    x = torch.randn(3, 2, dtype=torch.bfloat16, requires_grad=True)
    dy = torch.randn(3, 2, dtype=torch.bfloat16)
    alpha = torch.tensor([0.3, 0.2, 0.1])
    (grad,) = torch.autograd.grad(gradient_reversal(x, alpha), x, dy)
    assert torch.equal(grad, (dy.float() * -alpha[:, None]).bfloat16())  # rounded once


Point = namedtuple("Point", "x y")


def test_pytrees_keep_their_structure() -> None:
    leaves = [torch.ones(2, requires_grad=True) for _ in range(4)]
    tree = {"a": leaves[0], "b": [leaves[1], (leaves[2],)], "c": Point(leaves[3], torch.zeros(1))}
    result = gradient_reversal(tree, 0.5)
    assert isinstance(result["b"], list)
    assert isinstance(result["b"][1], tuple)
    assert isinstance(result["c"], Point)
    total = result["a"].sum() + result["b"][0].sum() + result["b"][1][0].sum() + result["c"].x.sum()
    assert all(torch.equal(grad, torch.full((2,), -0.5)) for grad in differentiate(total, *leaves))
    assert gradient_reversal([]) == []


def test_a_second_derivative_sees_alpha() -> None:
    """The first derivative does not depend on alpha's own gradient; the gradient itself is linear in alpha."""
    x, alpha = torch.tensor([3.0], requires_grad=True), torch.tensor(0.5, requires_grad=True)
    y = gradient_reversal(x, alpha)
    assert torch.autograd.grad(y.sum(), alpha, allow_unused=True, retain_graph=True)[0] is None
    (grad,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    assert grad.item() == -3.0
    assert torch.autograd.grad(grad.sum(), alpha)[0].item() == -6.0


def test_alpha_is_taken_at_the_forward() -> None:
    """Changing the layer's alpha between forward and backward neither breaks nor bends the step under way."""
    layer, x = GradientReversal(0.5), torch.ones(2, requires_grad=True)
    first = layer(x).sum()
    layer.alpha = 2.0
    second = layer(x).sum()
    layer.alpha.fill_(9.0)
    assert differentiate(first, x)[0].tolist() == [-0.5, -0.5]
    assert differentiate(second, x)[0].tolist() == [-2.0, -2.0]


def test_a_network_in_half_precision_keeps_its_alpha() -> None:
    network = nn.Sequential(nn.Linear(2, 2), GradientReversal(0.3)).to(torch.bfloat16)
    assert network[0].weight.dtype == torch.bfloat16
    assert network[1].alpha.dtype == torch.float32
    assert network[1].alpha == torch.tensor(0.3)
    assert network.to("meta")[1].alpha.device.type == "meta"
    assert network.to_empty(device="cpu")[1].alpha.device.type == "cpu"


def test_nothing_is_copied_or_kept() -> None:
    x = torch.randn(64, 64, requires_grad=True)
    before = x * 1
    y = gradient_reversal(before, 0.5)
    assert y.data_ptr() == before.data_ptr()
    assert gradient_reversal(before, 0.5, copy=True).data_ptr() != before.data_ptr()
    saved: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        gradient_reversal(before, 0.5).sum()
        gradient_reversal(before, torch.tensor(0.5)).sum()
    assert saved == []


def test_the_backward_makes_one_temporary() -> None:
    x = torch.randn(256, 256, requires_grad=True)
    dy = torch.ones(256, 256)
    y = gradient_reversal(x, 0.5)
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True, acc_events=True) as profile:
        torch.autograd.grad(y, x, dy)
    events = [event for event in profile.events() if event.name.startswith("aten::")]
    assert [event.name for event in events if event.cpu_memory_usage >= dy.numel() * 4] == ["aten::mul"]


def test_a_leaf_and_a_parameter_are_taken() -> None:
    weight = nn.Parameter(torch.ones(2))
    gradient_reversal(weight, 2.0).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [-2.0, -2.0]


@pytest.mark.parametrize("alpha", [np.float32(0.5), np.float64(0.5), 1, True])
def test_numbers_of_other_kinds(alpha: object) -> None:
    x = torch.ones(2, requires_grad=True)
    if alpha is True:
        with pytest.raises(TypeError, match="alpha must be a real number, got True"):
            gradient_reversal(x, alpha)  # pyright: ignore
    else:
        assert differentiate(gradient_reversal(x, alpha).sum(), x)[0][0] == -float(alpha)  # pyright: ignore


BAD_ALPHAS = [
    (math.nan, ValueError, r"alpha must be finite and >= 0, got nan"),
    (math.inf, ValueError, r"alpha must be finite and >= 0, got inf"),
    (-1.0, ValueError, r"alpha must be finite and >= 0, got -1.0; for a factor of any sign use gradient_scale"),
    ("1", TypeError, r"alpha must be a real number, got '1'"),
    (1j, TypeError, r"alpha must be a real number, got 1j"),
    (None, TypeError, r"alpha must be a real number, got None"),
    (torch.tensor(math.nan), ValueError, r"alpha must be finite and >= 0, got nan"),
    (torch.tensor(-0.5), ValueError, r"alpha must be finite and >= 0, got -0.5; for a factor of any sign"),
    (torch.tensor([0.5, math.inf, 1.0, 1.0]), ValueError, r"alpha must be finite and >= 0, got inf"),
    (torch.tensor([0.5, -2.0, 1.0, 1.0]), ValueError, r"alpha must be finite and >= 0, got -2.0"),
    (torch.tensor(1), TypeError, r"alpha must be a real number or a floating tensor, got a tensor of torch.int64"),
    (torch.tensor(1j), TypeError, r"alpha must be a real number or a floating tensor, got a tensor of torch.complex64"),
    (torch.ones(3), ValueError, r"alpha must be one coefficient.*\(N,\) or .*, got \(3,\) for x of shape \(4, 5\)"),
    (torch.ones(5), ValueError, r"got \(5,\) for x of shape \(4, 5\)"),
    (torch.ones(4, 5, 2), ValueError, r"got \(4, 5, 2\) for x of shape \(4, 5\)"),
    (torch.ones(0), ValueError, r"got \(0,\) for x of shape \(4, 5\)"),
    (torch.ones((), device="meta"), ValueError, r"alpha must be on the device of x, cpu, got meta"),
]


@pytest.mark.parametrize(("alpha", "error", "message"), BAD_ALPHAS)
def test_bad_alpha(alpha: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        gradient_reversal(torch.ones(4, 5), alpha)  # pyright: ignore


@pytest.mark.parametrize("alpha", [math.nan, math.inf, -1.0])
def test_bad_alpha_of_the_module(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha must be finite and >= 0"):
        GradientReversal(alpha)
    layer = GradientReversal()
    with pytest.raises(ValueError, match="alpha must be finite and >= 0"):
        layer.alpha = alpha  # pyright: ignore
    assert layer.alpha == 1.0
    layer.alpha.fill_(alpha)
    with pytest.raises(ValueError, match="alpha must be finite and >= 0"):
        layer(torch.ones(2))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(2, dtype=torch.int64), "x must have a floating or complex dtype, got torch.int64"),
        (torch.ones(2, dtype=torch.bool), "x must have a floating or complex dtype, got torch.bool"),
        ({"a": [torch.ones(2), 3.0]}, r"x\['a'\]\[1\] must be a tensor, or x a pytree of tensors, got float"),
        ([torch.ones(2), None], r"x\[1\] must be a tensor, or x a pytree of tensors, got NoneType"),
        ([torch.ones(2, dtype=torch.int32)], r"x\[0\] must have a floating or complex dtype, got torch.int32"),
        (3.0, "x must be a tensor, or x a pytree of tensors, got float"),
        (np.ones(2), "x must be a tensor, or x a pytree of tensors, got ndarray"),
    ],
)
def test_bad_x(x: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        gradient_reversal(x)


def test_values_are_not_read_off_the_cpu() -> None:
    """On another device the shape is checked and the values are not, because reading them would wait for it."""
    x = torch.ones(2, 3, device="meta", requires_grad=True)
    y = gradient_reversal(x, torch.empty(2, device="meta"))
    assert torch.autograd.grad(y.sum(), x)[0].device.type == "meta"
    with pytest.raises(ValueError, match=r"got \(3,\) for x of shape \(2, 3\)"):
        gradient_reversal(x, torch.empty(3, device="meta"))


def test_a_compiled_function_still_refuses() -> None:
    torch._dynamo.reset()
    compiled = torch.compile(lambda x, alpha: gradient_reversal(x, alpha), backend="eager")
    compiled(torch.ones(2, requires_grad=True), 1.0)
    with pytest.raises(ValueError, match=r"alpha must be finite and >= 0, got -1\.0"):
        compiled(torch.ones(2, requires_grad=True), -1.0)


def test_an_exported_program_is_saved_and_trained_elsewhere(tmp_path) -> None:
    """A new process needs only `import grl` to open it with the reversal in place."""
    network = nn.Sequential(nn.Linear(3, 4), GradientReversal(0.5), nn.Linear(4, 2))
    torch.export.save(torch.export.export(network, (torch.ones(2, 3),)), tmp_path / "network.pt2")
    program = (
        "import sys, torch, grl\n"
        "network = torch.export.load(sys.argv[1]).module()\n"
        "network(torch.ones(2, 3)).sum().backward()\n"
        "print(dict(network.named_parameters())['0.bias'].grad.tolist())\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "network.pt2")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (plain,) = differentiate(network[2](network[0](torch.ones(2, 3))).sum(), network[0].bias)
    torch.testing.assert_close(torch.tensor(eval(printed)), -0.5 * plain)


def test_importing_grl_imports_nothing_beyond_torch() -> None:
    """What keeps the import cheap; `tests/benchmarks/reversal.py` measures how cheap."""
    script = (
        "import sys, torch; before = set(sys.modules); import grl; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    added = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert set(added) <= {"grl", *sys.stdlib_module_names}
