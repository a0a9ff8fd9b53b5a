"""The same operator for JAX. Needs JAX, which `grl` does not install.

forward:   y = x
backward:  dx = -alpha · dy

It works under `jit`, `vmap`, `grad` and `grad` of `grad`. JAX derives the rule for one of its modes from the rule
given for the other only where that rule is linear; ours is, so a rule for the tangents serves forward and reverse
mode alike.
"""

import math
from importlib import import_module
from numbers import Real
from typing import Any

try:
    jax: Any = import_module("jax")
    jnp: Any = import_module("jax.numpy")
except ImportError as error:
    raise ImportError("grl.jax needs JAX, which is not installed: pip install jax") from error


def gradient_reversal(x: Any, alpha: Any = 1.0) -> Any:
    """Return `x`; the gradient that comes back through it is multiplied by -alpha.

    Ganin et al., JMLR 17 (2016), section 4.2, where alpha is called lambda.

    Args:
        x: an array of floating or complex dtype, or a pytree of such arrays; `(N, ...)`.
        alpha: the coefficient, finite and >= 0: a number, a 0-d array, or one coefficient per sample, `(N,)`. The
            values of arrays are not read, so that nothing waits for a device and tracing works.

    Returns:
        `x`, same structure, shapes and dtypes.

    Raises:
        TypeError: if a leaf is no array of floating or complex dtype, or alpha is neither a real number nor a
            floating array.
        ValueError: if alpha is a number that is not finite or negative, or an array that does not match the
            leading dimensions.
    """
    if not isinstance(alpha, (jax.Array, Real)):
        raise TypeError(f"alpha must be a real number or a floating array, got {type(alpha).__name__}")
    if not isinstance(alpha, jax.Array) and not 0.0 <= float(alpha) < math.inf:
        raise ValueError(f"alpha must be finite and >= 0, got {alpha}")
    if isinstance(alpha, jax.Array) and not jnp.issubdtype(alpha.dtype, jnp.floating):
        raise TypeError(f"alpha must be a real number or a floating array, got an array of {alpha.dtype}")

    def reverse(path: Any, leaf: Any) -> Any:
        return _reverse_leaf(path, leaf, alpha)

    return jax.tree_util.tree_map_with_path(reverse, x)


def _reverse_leaf(path: Any, leaf: Any, alpha: Any) -> Any:
    name = "x" + jax.tree_util.keystr(path)
    dtype = getattr(leaf, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jnp.inexact):
        raise TypeError(f"{name} must be an array of floating or complex dtype, got {dtype or type(leaf).__name__}")
    leaf = jnp.asarray(leaf)
    coefficient = jnp.asarray(alpha)
    if not all(size == 1 for size in coefficient.shape):
        if coefficient.ndim > leaf.ndim or any(
            a not in (1, n) for a, n in zip(coefficient.shape, leaf.shape, strict=False)
        ):
            raise ValueError(
                f"alpha must be one coefficient, or match the leading dimensions of {name}: (N,) or (N, 1, ...), "
                f"got {coefficient.shape} for shape {leaf.shape}"
            )
        coefficient = coefficient.reshape(coefficient.shape + (1,) * (leaf.ndim - coefficient.ndim))
    else:
        coefficient = coefficient.reshape(())
    return _scale(leaf, -coefficient)


@jax.custom_jvp
def _scale(x: Any, factor: Any) -> Any:
    return x


@_scale.defjvp
def _scale_tangent(primals: Any, tangents: Any) -> Any:
    x, factor = primals
    return _scale(x, factor), (tangents[0] * factor).astype(x.dtype)
