"""The same operator for TensorFlow. Needs TensorFlow, which `grl` does not install.

forward:   y = x
backward:  dx = -alpha · dy

It works in eager mode, under `tf.function`, and under one `GradientTape` inside another.
"""

import math
from importlib import import_module
from numbers import Real
from typing import Any

try:
    tf: Any = import_module("tensorflow")
except ImportError as error:
    raise ImportError("grl.tensorflow needs TensorFlow, which is not installed: pip install tensorflow") from error


def gradient_reversal(x: Any, alpha: Any = 1.0) -> Any:
    """Return `x`; the gradient that comes back through it is multiplied by -alpha.

    Ganin et al., JMLR 17 (2016), section 4.2, where alpha is called lambda.

    Args:
        x: a tensor of floating or complex dtype, or a nest of such tensors; `(N, ...)`.
        alpha: the coefficient, finite and >= 0: a number, a 0-d tensor or variable, or one coefficient per sample,
            `(N,)`. The values of tensors are not read, so that nothing waits for a device and tracing works.

    Returns:
        `x`, same structure, shapes and dtypes.

    Raises:
        TypeError: if a leaf is no tensor of floating or complex dtype, or alpha is neither a real number nor a
            floating tensor.
        ValueError: if alpha is a number that is not finite or negative, or a tensor that does not match the
            leading dimensions.
    """
    if isinstance(alpha, Real) and not 0.0 <= float(alpha) < math.inf:
        raise ValueError(f"alpha must be finite and >= 0, got {alpha}")
    if not isinstance(alpha, Real):
        if not isinstance(alpha, (tf.Tensor, tf.Variable)) or not alpha.dtype.is_floating:
            found: Any = getattr(alpha, "dtype", None)
            name = type(alpha).__name__ if found is None else found.name
            raise TypeError(f"alpha must be a real number or a floating tensor, got {name}")

    def reverse(leaf: Any) -> Any:
        return _reverse_leaf(leaf, alpha)

    return tf.nest.map_structure(reverse, x)


def _reverse_leaf(leaf: Any, alpha: Any) -> Any:
    dtype: Any = getattr(leaf, "dtype", None)
    if not isinstance(leaf, (tf.Tensor, tf.Variable)) or not (dtype.is_floating or dtype.is_complex):
        raise TypeError(
            f"x must be a tensor of floating or complex dtype, or a nest of them, got {dtype or type(leaf)}"
        )
    coefficient = tf.convert_to_tensor(alpha, None if not isinstance(alpha, Real) else dtype.real_dtype)
    coefficient = _spread(coefficient, leaf)
    return _scale(tf.convert_to_tensor(leaf), tf.cast(-coefficient, dtype))


def _spread(coefficient: Any, leaf: Any) -> Any:
    shape, wanted = coefficient.shape, leaf.shape
    if all(size == 1 for size in shape):
        return tf.reshape(coefficient, [])
    if len(shape) > len(wanted) or any(
        a not in (1, n, None) and n is not None for a, n in zip(shape, wanted, strict=False)
    ):
        raise ValueError(
            "alpha must be one coefficient, or match the leading dimensions of x: (N,) or (N, 1, ...), "
            f"got {tuple(shape)} for x of shape {tuple(wanted)}"
        )
    ones = [1] * (len(wanted) - len(shape))
    return tf.reshape(coefficient, tf.concat([tf.shape(coefficient), tf.constant(ones, tf.int32)], 0))


@tf.custom_gradient
def _scale(x: Any, factor: Any) -> Any:
    def pull(grad: Any) -> Any:
        # The factor gets no gradient of its own; a second derivative sees the product.
        return grad * factor, tf.zeros_like(factor)

    return tf.identity(x), pull
