"""Marginalised stacked denoising autoencoders: a closed-form representation of word counts.

The representation has six times as many numbers as there are words, far more than there are training samples. It is
handed out in coordinates of the space that the training inputs span: scalar products with training inputs, and so all
that a linear model or a first layer learns from them, stay what they were, in a seventh of the numbers. (First weights
are drawn for the numbers handed out: 2.7 times as large as for six times the words.)
"""

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from datasets.domains.base import SPLITS
from datasets.files.preparation import prepare
from datasets.files.prepared import Arrays, Prepared

LAYERS, CORRUPTION, RIDGE = 5, 0.5, 1e-5
FITTED_ON = ("0_train", "1_train")  # of `represent`: both domains' training inputs


def fit_layer(inputs: NDArray[np.floating], corruption: float = CORRUPTION) -> NDArray[np.float64]:
    """Find the linear map that best restores inputs of which each feature was set to 0 with probability `corruption`.

        W = E[x x̃ᵀ] (E[x̃ x̃ᵀ] + 1e-5 I)⁻¹,   x̃ = corrupted (x, 1), the 1 never corrupted

    Both expectations follow from S = Σ (x, 1)(x, 1)ᵀ, so nothing is sampled (Chen et al., ICML 2012, equations 5 to 7).

    Args:
        inputs: `(N, D)`.
        corruption: in [0, 1).

    Returns:
        W, `(D, D + 1)`; the last column belongs to the constant.
    """
    from scipy.linalg import solve

    extended = np.hstack([inputs.astype(np.float64), np.ones((len(inputs), 1))])
    scatter = extended.T @ extended
    kept = np.full(scatter.shape[0], 1 - corruption)
    kept[-1] = 1
    corrupted = scatter * kept[:, None] * kept
    np.fill_diagonal(corrupted, scatter.diagonal() * kept)
    corrupted[np.diag_indices(len(kept) - 1)] += RIDGE
    restored = scatter[:-1] * kept
    return solve(corrupted, restored.T, assume_a="pos", overwrite_a=True, overwrite_b=True).T


def apply_layer(weights: NDArray[np.floating], inputs: NDArray[np.floating]) -> NDArray[np.float32]:
    """Compute tanh(W (x, 1)).

    Returns:
        `(N, D)` float32.
    """
    weights = weights.astype(np.float32)
    return np.tanh(inputs.astype(np.float32) @ weights[:, :-1].T + weights[:, -1])


def stack_layers(parts: dict[str, NDArray[np.float32]], fitted_on: tuple[str, ...], layers: int = LAYERS) -> Arrays:
    """Fit one layer after the other, each on what the one before gives, and lay all of them side by side.

    Args:
        parts: sets of samples by name, each `(N, D)`.
        fitted_on: the sets that the layers are fitted on: source and target training inputs, never a test set.
        layers: how many.

    Returns:
        The same sets, `(N, (layers + 1) D)`: the inputs, then every layer.
    """
    width = next(iter(parts.values())).shape[1]
    stacked = {name: np.empty((len(inputs), (layers + 1) * width), np.float32) for name, inputs in parts.items()}
    for name, inputs in parts.items():
        stacked[name][:, :width] = inputs
    for layer in range(layers):
        before, behind = (slice(place * width, (place + 1) * width) for place in (layer, layer + 1))
        weights = fit_layer(np.concatenate([stacked[name][:, before] for name in fitted_on]))
        for outputs in stacked.values():  # written where they belong: no array is held twice
            outputs[:, behind] = apply_layer(weights, outputs[:, before])
    return stacked


def express_in_span(parts: dict[str, NDArray[np.float32]], fitted_on: tuple[str, ...]) -> Arrays:
    """Replace inputs by their coordinates in an orthonormal basis of the span of some of them.

        X' = X Q,   Q R = the inputs of `fitted_on` as columns

    Of the other sets, what stands at right angles to that span is gone: no training sees it.

    Args:
        parts: sets of samples by name, each `(N, D)`.
        fitted_on: the sets that span the space, K samples together.

    Returns:
        The same sets, `(N, min(D, K))` float32.
    """
    basis = np.linalg.qr(np.concatenate([parts[name] for name in fitted_on]).T).Q
    return {name: inputs @ basis for name, inputs in parts.items()}


def width_of(words: int, trained_on: int) -> int:
    """How many numbers `represent` gives a sample of so many words, of domains with so many training samples."""
    return min((LAYERS + 1) * words, trained_on)


def represent(source: Prepared, target: Prepared) -> Prepared:
    """Open the representation of a pair; compute it first (minutes) unless that was done before.

    Args:
        source: the prepared source domain.
        target: the prepared target domain.

    Returns:
        Arrays `source_train`, `source_test`, `target_train`, `target_test`, each `(N, width_of(D, …))` float32: all
        layers side by side, `stack_layers`, in coordinates of the training inputs' span. Their last digits depend on
        the linear-algebra library, so they carry no published digest. The way back between the same two domains has
        the same ones, and they are kept once.
    """
    sides = sorted({"source": source, "target": target}.items(), key=lambda side: side[1].digest)
    recipe = " ".join(map(str, ("msda 3", LAYERS, CORRUPTION, RIDGE, *(prepared.digest for _, prepared in sides))))

    def make() -> Arrays:
        parts = {
            f"{place}_{split}": prepared.arrays[f"{split}_inputs"]
            for place, (_, prepared) in enumerate(sides)
            for split in ("train", "test")
        }
        return express_in_span(stack_layers(parts, FITTED_ON), FITTED_ON)

    file = prepare(f"msda-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}", {"recipe": recipe}, make)
    names = {f"{place}_{split}": f"{role}_{split}" for place, (role, _) in enumerate(sides) for split in SPLITS}
    return replace(file, arrays={names[name]: array for name, array in file.arrays.items()})
