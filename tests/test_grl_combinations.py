"""Every form with every derivative, and what a compiled function refuses."""

import re
import shutil

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from grl import gradient_reversal
from tests.support import combinations
from tests.support.combinations import BY_AUTOGRAD, DERIVATIVES, FORMS, Network, arithmetic, draw, judge

pytestmark = [
    # PyTorch's own forward mode compiles its rules with it.
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated"),
    # make_fx writes the modules it traces as plain ones.
    pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node"),
]


@pytest.mark.parametrize("name", DERIVATIVES)
@pytest.mark.parametrize("form", FORMS)
def test_form_and_derivative(form: str, name: str) -> None:
    if form == "AOTInductor" and not shutil.which("g++"):
        pytest.skip("AOTInductor needs a C++ compiler")
    judge(form, name)


@pytest.mark.parametrize("name", DERIVATIVES)
@pytest.mark.parametrize("form", [form for form in FORMS if form != "AOTInductor"])
def test_a_cell_can_fail(form: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that does nothing, and one that is a Function without rules, are caught or refused."""

    class Bare(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x: Tensor) -> Tensor:
            return x.view_as(x)

        @staticmethod
        def backward(ctx, *grads: Tensor) -> Tensor:
            return grads[0] * -0.3

    monkeypatch.setattr(combinations, "LAYERS", {"identity": lambda x: x})
    with pytest.raises(AssertionError):
        judge(form, name)
    if name in ("jvp", "jacfwd") or (name == "hessian" and form != "checkpoint"):  # there autograd is asked
        monkeypatch.setattr(combinations, "LAYERS", {"bare": Bare.apply})
        with pytest.raises(Exception, match=r".+"):
            judge(form, name)


OUTSIDE = {
    **{name: DERIVATIVES[name] for name in DERIVATIVES},
    "forward mode": BY_AUTOGRAD["jvp"],
    "a second backward": BY_AUTOGRAD["grad of grad"],
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_compiled_function_is_right_from_outside_or_refuses(name: str) -> None:
    """PyTorch refuses them all since 2.15; earlier ones do some."""
    torch._dynamo.reset()
    compiled = torch.compile(Network(combinations.LAYERS["module"]), backend="aot_eager", fullgraph=True)
    expected, refusal = OUTSIDE[name](Network(arithmetic))(draw()), ""
    try:
        torch.testing.assert_close(OUTSIDE[name](compiled)(draw()), expected)
    except (RuntimeError, torch._dynamo.exc.Unsupported) as error:  # no AssertionError
        refusal = str(error)
    assert not refusal or re.search(r"(?i)support|tangent", refusal), refusal


@pytest.mark.parametrize("name", ["jvp", "jacrev", "hessian"])
def test_infinite_values_pass_the_arithmetic_form(name: str) -> None:
    """Inside a compiled program the layer is arithmetic where a transform asks; its value is that of x everywhere."""
    values = torch.tensor([1.0, -0.0, torch.inf, -torch.inf, torch.nan])

    def watch(x: Tensor) -> Tensor:
        return torch.func.jvp(lambda v: gradient_reversal(v, 0.3), (x,), (torch.ones_like(x),))[0]

    torch._dynamo.reset()
    found = torch.compile(watch, backend="aot_eager", fullgraph=True)(values)
    torch.testing.assert_close(found, values, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(found.signbit()[:4], values.signbit()[:4])


def test_forward_mode_inside_a_compiled_program() -> None:
    def tangent(x: Tensor) -> Tensor:
        with forward_ad.dual_level():
            return forward_ad.unpack_dual(
                gradient_reversal(forward_ad.make_dual(x, torch.ones_like(x)), 0.5) ** 2
            ).tangent

    x = torch.tensor([1.0, -2.0, 4.0])
    torch._dynamo.reset()
    assert torch.compile(tangent, backend="aot_eager", fullgraph=True)(x).tolist() == [-1.0, 2.0, -4.0]
