"""The operator for JAX: the PyTorch numbers, under every transformation."""

import math

import numpy as np
import pytest
import torch

from grl import gradient_reversal as torch_reversal

jax = pytest.importorskip("jax", reason="JAX is not installed; run: python -m tests.support.frameworks jax")

import jax.numpy as jnp  # noqa: E402

from grl.jax import gradient_reversal  # noqa: E402

# PyTorch's own forward mode compiles its rules with it.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

ALPHA = 0.3
X = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


def loss(x, alpha=ALPHA):
    return (jnp.sin(gradient_reversal(x * x, alpha)) * jnp.arange(1.0, 4.0)).sum()


def plain(x):
    return (jnp.sin(x * x) * jnp.arange(1.0, 4.0)).sum()


def torch_loss(x: torch.Tensor, alpha=ALPHA) -> torch.Tensor:
    return (torch.sin(torch_reversal(x * x, alpha)) * torch.arange(1.0, 4.0)).sum()


def close(a, b) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=2e-5, atol=2e-5)


def test_forward_is_the_identity_and_the_gradient_reversed() -> None:
    assert np.array_equal(gradient_reversal(jnp.asarray(X), ALPHA), X)
    close(jax.grad(loss)(X), -ALPHA * jax.grad(plain)(X))


TRANSFORMS = {
    "grad": (lambda f: jax.grad(f)(X), lambda f: torch.func.grad(f)(torch.tensor(X))),
    "jit": (lambda f: jax.jit(jax.grad(f))(X), lambda f: torch.func.grad(f)(torch.tensor(X))),
    "vmap": (lambda f: jax.vmap(jax.grad(f))(X), lambda f: torch.func.vmap(torch.func.grad(f))(torch.tensor(X))),
    "jvp": (
        lambda f: jax.jvp(f, (X,), (jnp.ones_like(X),))[1],
        lambda f: torch.func.jvp(f, (torch.tensor(X),), (torch.ones(X.shape),))[1],
    ),
    "jacfwd": (lambda f: jax.jacfwd(f)(X), lambda f: torch.func.jacfwd(f)(torch.tensor(X))),
    "jacrev": (lambda f: jax.jacrev(f)(X), lambda f: torch.func.jacrev(f)(torch.tensor(X))),
    "hessian": (lambda f: jax.hessian(f)(X), lambda f: torch.func.hessian(f)(torch.tensor(X))),
    "grad of grad": (
        lambda f: jax.grad(lambda x: (jax.grad(f)(x) ** 2).sum())(X),
        lambda f: torch.func.grad(lambda x: (torch.func.grad(f)(x) ** 2).sum())(torch.tensor(X)),
    ),
    "vmap over alpha": (
        lambda f: jax.vmap(lambda a: jax.grad(f)(X, a))(jnp.array([0.0, 0.5, 2.0])),
        lambda f: torch.func.vmap(lambda a: torch.func.grad(f)(torch.tensor(X), a))(torch.tensor([0.0, 0.5, 2.0])),
    ),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_numbers_of_pytorch(name: str) -> None:
    mine, other = TRANSFORMS[name]
    close(mine(loss), other(torch_loss))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16, jnp.complex64])
def test_dtypes(dtype) -> None:
    x = jnp.asarray(X).astype(dtype)
    y, pull = jax.vjp(lambda v: gradient_reversal(v, 0.5), x)
    assert y.dtype == dtype
    assert np.array_equal(pull(x)[0].astype(jnp.complex64), (-0.5 * x).astype(jnp.complex64))


def test_one_coefficient_per_sample() -> None:
    grad = jax.grad(lambda x: gradient_reversal(x, jnp.array([0.0, 1.0, 2.0, 3.0])).sum())(jnp.ones((4, 3)))
    close(grad, -np.arange(4.0)[:, None] * np.ones((4, 3)))


def test_alpha_changes_without_tracing_again() -> None:
    traces = []

    @jax.jit
    def step(x, alpha):
        traces.append(1)
        return jax.grad(lambda v: gradient_reversal(v, alpha).sum())(x)

    for alpha in np.linspace(0, 1, 1000, dtype=np.float32):
        step(X, alpha)
    assert len(traces) == 1
    close(step(X, 0.25), np.full_like(X, -0.25))


def test_pytrees() -> None:
    grads = jax.grad(lambda t: sum(v.sum() for v in jax.tree.leaves(gradient_reversal(t, 0.5))))({"a": X, "b": [X]})
    close(grads["a"], np.full_like(X, -0.5))
    close(grads["b"][0], np.full_like(X, -0.5))


@pytest.mark.parametrize("alpha", [-1.0, math.nan, math.inf])
def test_bad_alpha(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha must be finite and >= 0, got"):
        gradient_reversal(jnp.ones(2), alpha)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"alpha must be one coefficient.*got \(3,\) for shape \(4, 5\)"):
        gradient_reversal(jnp.ones((4, 5)), jnp.ones(3))
    with pytest.raises(TypeError, match="alpha must be a real number or a floating array, got str"):
        gradient_reversal(jnp.ones(2), "1")
    with pytest.raises(TypeError, match="got an array of int32"):
        gradient_reversal(jnp.ones(2), jnp.int32(1))
    with pytest.raises(TypeError, match="x must be an array of floating or complex dtype, got int32"):
        gradient_reversal(jnp.ones(2, dtype=jnp.int32))
    with pytest.raises(TypeError, match=r"x\['a'\] must be an array of floating or complex dtype, got str"):
        gradient_reversal({"a": "no"})
