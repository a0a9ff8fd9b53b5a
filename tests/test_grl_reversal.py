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
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

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
    pytest.param(10**400, ValueError, r"alpha must be finite and >= 0, got inf", id="10**400"),
    (torch.ones(1).to_sparse(), TypeError, r"alpha must be a dense tensor, got one of torch.sparse_coo"),
    (torch.ones(4).to_sparse(), TypeError, r"alpha must be a dense tensor, got one of torch.sparse_coo"),
]


@pytest.mark.parametrize(("alpha", "error", "message"), BAD_ALPHAS)
def test_bad_alpha(alpha: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        gradient_reversal(torch.ones(4, 5), alpha)  # pyright: ignore


BAD_MODULE_ALPHAS = [
    *((kind(value), ValueError) for value in (math.nan, math.inf, -1.0) for kind in (float, torch.tensor, np.float32)),
    (torch.tensor([-1.0]), ValueError),
    (torch.tensor(1), TypeError),
    (torch.tensor(True), TypeError),
    (torch.tensor(1j), TypeError),
    (torch.ones(3), TypeError),
    (torch.ones(0), TypeError),
    (torch.ones(1).to_sparse(), TypeError),
    pytest.param(10**400, ValueError, id="10**400"),
    (nn.Parameter(torch.tensor(0.5)), TypeError),
    (torch.tensor(0.5, requires_grad=True), TypeError),
    ("1", TypeError),
    (None, TypeError),
    (True, TypeError),
]


@pytest.mark.parametrize(("alpha", "error"), BAD_MODULE_ALPHAS)
def test_bad_alpha_of_the_module(alpha: object, error: type[Exception]) -> None:
    """One rule for constructor, assignment and loading; the layer keeps what it had."""
    with pytest.raises(error, match="alpha must"):
        GradientReversal(alpha)  # pyright: ignore
    layer = GradientReversal(0.25)
    with pytest.raises(error, match="alpha must"):
        layer.alpha = alpha  # pyright: ignore
    if isinstance(alpha, Tensor) and alpha.numel() == 1:
        with pytest.raises(error, match="alpha must"):
            layer.load_state_dict({"alpha": alpha})
    assert layer.alpha == 0.25
    assert list(layer.buffers()) == [layer.alpha]
    assert list(layer.parameters()) == []


@pytest.mark.parametrize("size", [0, 2, 3])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_buffer_of_another_size_is_refused(size: int, requires_grad: bool) -> None:
    alpha = torch.ones(size, requires_grad=requires_grad)
    with pytest.raises(TypeError, match=rf"alpha must be a real number or .* of one element, .* shape \({size},\)"):
        torch.func.functional_call(GradientReversal(), {"alpha": alpha}, (torch.ones(3, 2),))


@pytest.mark.parametrize("write", [lambda a, v: a.fill_(v), lambda a, v: a.data.fill_(v), lambda a, v: a.copy_(v)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 0.75])
def test_what_is_written_into_the_buffer_is_seen(write, value: float) -> None:
    layer, x = GradientReversal(0.5), torch.ones(2, requires_grad=True)
    layer(x)
    write(layer.alpha, torch.tensor(value))
    if value == 0.75:
        assert differentiate(layer(x).sum(), x)[0].tolist() == [-0.75, -0.75]
    else:
        with pytest.raises(ValueError, match="alpha must be finite and >= 0"):
            layer(x)


@pytest.mark.parametrize(
    "alpha", [0.5, np.float64(0.5), torch.tensor(0.5), torch.tensor([[0.5]]), torch.tensor(0.5).half()]
)
def test_good_alphas_of_the_module(alpha: object) -> None:
    layer = GradientReversal(alpha)  # pyright: ignore
    assert layer.alpha.shape == ()
    layer = GradientReversal()
    layer.alpha = alpha  # pyright: ignore
    x = torch.ones(2, requires_grad=True)
    assert differentiate(layer(x).sum(), x)[0].tolist() == [-0.5, -0.5]


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_an_alpha_that_cannot_be_read_makes_the_gradient_nan(value: float, kind: torch.dtype) -> None:
    """Under a transform and in a compiled program, as on an accelerator, no value is waited for."""
    alphas = torch.tensor([0.5, value], dtype=kind)
    x = torch.ones(2, 3, requires_grad=True)
    right, wrong = torch.func.vmap(torch.func.grad(lambda v, a: gradient_reversal(v, a).sum()))(x.detach(), alphas)
    assert right.tolist() == [-0.5] * 3
    assert wrong.isnan().all()
    layer = GradientReversal(0.5)
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert differentiate(compiled(x).sum(), x)[0].tolist() == [[-0.5] * 3] * 2
    layer.alpha.fill_(value)
    assert differentiate(compiled(x).sum(), x)[0].isnan().all()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(2, dtype=torch.int64), "x must have a floating or complex dtype, got torch.int64"),
        (torch.ones(2, dtype=torch.bool), "x must have a floating or complex dtype, got torch.bool"),
        ({"a": [torch.ones(2), {3}]}, r"x\['a'\]\[1\] must be a tensor, or x a pytree of tensors, got set"),
        ([torch.ones(2), np.ones(2)], r"x\[1\] must be a tensor, or x a pytree of tensors, got ndarray"),
        ([torch.ones(2, dtype=torch.int32)], r"x must be a tensor of floating or complex dtype, or a pytree with one"),
        ([None, 3], r"or a pytree with one in it, got \[None, 3\]"),
        (3.0, r"or a pytree with one in it, got 3\.0"),
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


# Meta and fake tensors


def test_a_layer_without_values_is_printed_and_filled_again() -> None:
    network = nn.Sequential(nn.Linear(2, 2), GradientReversal(0.3)).to("meta")
    assert "GradientReversal(alpha=?)" in repr(network)
    assert network.to_empty(device="cpu")[1].alpha == torch.tensor(0.3)
    with torch.device("meta"):
        layer = GradientReversal(0.7)
    assert layer(torch.ones(2, device="meta")).is_meta
    layer = layer.to_empty(device="cpu")
    assert layer.alpha == torch.tensor(0.7)
    layer.alpha.fill_(0.1)
    layer.reset_parameters()
    assert layer.alpha == torch.tensor(0.7)


def test_a_fake_input_meets_a_real_layer() -> None:
    """What memory estimators and planners do."""
    mode, layer = FakeTensorMode(), GradientReversal(0.5)
    for call in (layer, lambda x: gradient_reversal(x, torch.tensor(0.5)), lambda x: gradient_reversal(x, 0.5)):
        x = mode.from_tensor(torch.ones(2, 3)).requires_grad_()
        with mode:
            call(x).sum().backward()
            assert repr(GradientReversal(0.25)).startswith("GradientReversal(alpha=")
        assert x.grad is not None
        assert x.grad.shape == (2, 3)
        assert call(x).shape == (2, 3)


def test_a_trace_with_real_weights_keeps_the_reversal() -> None:
    layer, x = GradientReversal(0.5), torch.ones(2, 3)
    traced = make_fx(torch.func.grad(lambda v: layer(v * 2).sum()), tracing_mode="fake")(x)
    assert torch.equal(traced(x), torch.full((2, 3), -1.0))


# Other ways to call it, and old networks


def test_symbolic_traces() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return gradient_reversal(self.layer(x), 0.5)

    x = torch.ones(4, 3)
    traced = torch.fx.symbolic_trace(Functional())
    traced(x).sum().backward()
    torch.testing.assert_close(traced.layer.bias.grad, torch.full((2,), -2.0))
    network = nn.Sequential(nn.Linear(3, 2), GradientReversal(0.5))
    traced = torch.fx.symbolic_trace(network)
    network[1].alpha = 0.25  # the trace keeps the layer's buffer, not a number
    traced.get_submodule("1").alpha.fill_(0.75)
    traced(x).sum().backward()
    torch.testing.assert_close(network[0].bias.grad, torch.full((2,), -3.0))


def test_feature_extraction() -> None:
    extraction = pytest.importorskip("torchvision.models.feature_extraction")
    network = nn.Sequential(nn.Linear(3, 4), GradientReversal(0.5), nn.Linear(4, 2))
    x = torch.ones(2, 3)
    features = extraction.create_feature_extractor(network, {"0": "features", "2": "logits"})(x)
    assert torch.equal(features["logits"], network(x))
    features["logits"].sum().backward()
    (plain,) = differentiate(network[2](network[0](x)).sum(), network[0].bias)
    torch.testing.assert_close(network[0].bias.grad, -0.5 * plain)


@pytest.mark.parametrize("reverse", [lambda x: gradient_reversal(x, 0.5), GradientReversal(0.5)])
def test_packed_sequences(reverse) -> None:
    sequences = [torch.randn(n, 2, requires_grad=True) for n in (2, 4, 3)]
    packed = nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
    result = reverse({"packed": packed})["packed"]
    assert isinstance(result, nn.utils.rnn.PackedSequence)
    assert torch.equal(result.batch_sizes, packed.batch_sizes)
    padded, lengths = nn.utils.rnn.pad_packed_sequence(result)
    assert lengths.tolist() == [2, 4, 3]
    assert all(torch.equal(grad, torch.full_like(grad, -0.5)) for grad in differentiate(padded.sum(), *sequences))


def test_leaves_without_gradients_pass() -> None:
    x, length = torch.ones(2, requires_grad=True), torch.tensor([3, 4])
    tree = {"x": x, "length": length, "mask": length > 3, "cache": None, "name": "a", "depth": 2, "rate": 0.1}
    for result in (gradient_reversal(tree, 0.5), GradientReversal(0.5)(tree)):
        assert all(result[name] is tree[name] for name in tree if name != "x")
        assert differentiate(result["x"].sum(), x)[0].tolist() == [-0.5, -0.5]


def test_a_state_dict_from_before_the_layer() -> None:
    network = nn.ModuleDict({"first": nn.Linear(2, 2), "reverse": GradientReversal(0.3)})
    old = {"first.weight": torch.ones(2, 2), "first.bias": torch.ones(2)}
    network.load_state_dict(old)
    assert network["reverse"].alpha == torch.tensor(0.3)
    assert set(old) == {"first.weight", "first.bias"}
    network.load_state_dict(old | {"reverse.alpha": torch.tensor(0.6)}, assign=True)
    assert network["reverse"].alpha == torch.tensor(0.6)


@pytest.mark.parametrize("alpha", [0.5, torch.tensor(0.5, requires_grad=True)])
def test_the_message_about_writing_into_the_view_says_what_to_do(alpha: float | Tensor) -> None:
    y = gradient_reversal(torch.ones(2, requires_grad=True) * 1.0, alpha)
    with pytest.raises(RuntimeError, match="CopyTrue"):
        y.mul_(2.0)


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
