"""The operator for TensorFlow: the PyTorch numbers, eager, in graphs, and under nested tapes."""

import math

import numpy as np
import pytest
import torch

from grl import gradient_reversal as torch_reversal

tf = pytest.importorskip(
    "tensorflow", reason="TensorFlow is not installed; run: python -m tests.support.frameworks tensorflow"
)

from grl.tensorflow import gradient_reversal  # noqa: E402

ALPHA = 0.3
X = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


def loss(x, alpha=ALPHA):
    return tf.reduce_sum(tf.sin(gradient_reversal(x * x, alpha)) * tf.range(1.0, 4.0))


def torch_loss(x: torch.Tensor, alpha=ALPHA) -> torch.Tensor:
    return (torch.sin(torch_reversal(x * x, alpha)) * torch.arange(1.0, 4.0)).sum()


def torch_gradients() -> tuple[torch.Tensor, torch.Tensor]:
    # Plain autograd: `torch.func` loads a compiler that does not live beside TensorFlow's in one process.
    x = torch.tensor(X, requires_grad=True)
    (first,) = torch.autograd.grad(torch_loss(x), x, create_graph=True)
    return first.detach(), torch.autograd.grad((first**2).sum(), x)[0]


def differentiate(x, alpha=ALPHA):
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(x, alpha)
    return tape.gradient(value, x)


def differentiate_twice(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(differentiate(x) ** 2)
    return tape.gradient(value, x)


@pytest.mark.parametrize("wrap", [lambda f: f, tf.function, lambda f: tf.function(f, jit_compile=True)])
def test_the_numbers_of_pytorch(wrap) -> None:
    x = tf.constant(X)
    assert np.array_equal(gradient_reversal(x, ALPHA), X)
    first, second = torch_gradients()
    np.testing.assert_allclose(wrap(differentiate)(x), first, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(wrap(differentiate_twice)(x), second, rtol=2e-5, atol=2e-5)


def test_a_map_over_samples_and_over_alpha() -> None:
    x = tf.constant(X)
    rows = tf.vectorized_map(lambda row: differentiate(row), x)
    np.testing.assert_allclose(rows, differentiate(x), rtol=2e-5, atol=2e-5)
    alphas = tf.constant([0.0, 0.5, 2.0])
    many = tf.map_fn(lambda a: differentiate(x, a), alphas)
    for row, alpha in zip(many, (0.0, 0.5, 2.0), strict=True):
        np.testing.assert_allclose(row, differentiate(x, alpha), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16", "complex64"])
def test_dtypes(dtype: str) -> None:
    x = tf.cast(tf.constant(X), dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = gradient_reversal(x, 0.5)
    grad = tape.gradient(y, x, output_gradients=x)
    assert y.dtype == x.dtype
    assert np.array_equal(tf.cast(grad, tf.complex64), tf.cast(x * tf.cast(-0.5, dtype), tf.complex64))


def test_one_coefficient_per_sample_with_an_unknown_batch() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, 3]), tf.TensorSpec([None])])
    def step(x, alpha):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(gradient_reversal(x, alpha))
        return tape.gradient(value, x)

    expected = -np.arange(4.0)[:, None] * np.ones((4, 3))
    np.testing.assert_allclose(step(tf.ones((4, 3)), tf.range(4.0)), expected)


def test_alpha_changes_without_tracing_again() -> None:
    traces = []
    alpha = tf.Variable(0.0)

    @tf.function
    def step(x):
        traces.append(1)
        return differentiate(x, alpha)

    for value in np.linspace(0, 1, 100):
        alpha.assign(value)
        step(tf.constant(X))
    assert len(traces) == 1
    np.testing.assert_allclose(step(tf.constant(X)), differentiate(tf.constant(X), 1.0), rtol=1e-6)


def test_nests() -> None:
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        result = gradient_reversal({"a": x, "b": [x]}, 0.5)
        value = tf.reduce_sum(result["a"]) + tf.reduce_sum(result["b"][0])
    np.testing.assert_allclose(tape.gradient(value, x), np.full_like(X, -1.0))


@pytest.mark.parametrize("alpha", [-1.0, math.nan, math.inf])
def test_bad_alpha(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha must be finite and >= 0, got"):
        gradient_reversal(tf.ones(2), alpha)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"alpha must be one coefficient.*got \(3,\) for x of shape \(4, 5\)"):
        gradient_reversal(tf.ones((4, 5)), tf.ones(3))
    with pytest.raises(TypeError, match="alpha must be a real number or a floating tensor, got int32"):
        gradient_reversal(tf.ones(2), tf.constant(1))
    with pytest.raises(TypeError, match="x must be a tensor of floating or complex dtype"):
        gradient_reversal(tf.constant([1, 2]))
    with pytest.raises(TypeError, match="x must be a tensor of floating or complex dtype"):
        gradient_reversal({"a": "no"})
