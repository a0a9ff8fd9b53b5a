"""Two moons and the same moons turned by 35 degrees: the paper's Figure 2, as data."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.domains.base import Domain, PairEntry
from datasets.files.prepared import Arrays

TRAIN, TEST = 300, 1_000
ANGLE = np.deg2rad(35)


def draw_moons(count: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw two interleaving half circles with noise of standard deviation 0.05, half the points on each.

    Returns:
        Points `(count, 2)` and labels `(count,)`: 0 the upper moon, 1 the lower.
    """
    from sklearn.datasets import make_moons

    points, labels = make_moons(count, noise=0.05, random_state=seed)
    return np.asarray(points), np.asarray(labels, np.int64)


def scale_points(points: NDArray[np.float64], centre: NDArray[np.float64], angle: float) -> NDArray[np.float32]:
    """Centre, double and rotate points, then round them to multiples of 2^-16.

    The rounding makes the data the same on machines whose cosines differ in the last bit.

    Returns:
        `(N, 2)` float32.
    """
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (np.rint((points - centre) * 2 @ rotation * 65536) / 65536).astype(np.float32)


def build_source(root: Path) -> Arrays:
    """Two interleaving half circles: 300 training points, half of them on each moon, and 1,000 test points.

    Centred on the mean of its own training points and doubled, as the authors' code does. The test points are a
    separate, larger draw, so that an accuracy is good to one point; the paper prints no accuracy.

    Source: scikit-learn's make_moons with noise 0.05 and a seed of its own; every run sees the same points
    Licence: BSD-3-Clause; no data of others
    Citation: Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 17 (2016), section 5.1.1
    """
    return draw_both(0.0, train_seed=1, test_seed=3)


def build_target(root: Path) -> Arrays:
    """A fresh draw of the two moons, turned by 35 degrees around the source's mean; otherwise the same.

    Source: scikit-learn's make_moons with noise 0.05 and a seed of its own; every run sees the same points
    Licence: BSD-3-Clause; no data of others
    Citation: Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 17 (2016), section 5.1.1
    """
    return draw_both(ANGLE, train_seed=2, test_seed=4)


def draw_both(angle: float, train_seed: int, test_seed: int) -> Arrays:
    """Draw both splits of one domain, centred on the mean of the source's training points."""
    centre = draw_moons(TRAIN, 1)[0].mean(0)
    train_inputs, train_labels = draw_moons(TRAIN, train_seed)
    test_inputs, test_labels = draw_moons(TEST, test_seed)
    return {
        "train_inputs": scale_points(train_inputs, centre, angle),
        "train_labels": train_labels,
        "test_inputs": scale_points(test_inputs, centre, angle),
        "test_labels": test_labels,
    }


DOMAINS = tuple(
    Domain(
        name=name,
        title=title,
        class_names=("upper", "lower"),
        shape=(2,),
        counts=(TRAIN, TEST),
        build=build,
        generated=True,
        digest=digest,
    )
    for name, title, build, digest in (
        (
            "moons",
            "Moons",
            build_source,
            "33376eef49a0b4e512c2d6e38ae4e9552e6107f83c78a9e01d6385b4aa2525aa",
        ),
        (
            "moons_rotated",
            "Moons rotated by 35°",
            build_target,
            "0ed4330ac6ad95b695ce2e2765e07b0a14abfb646b0411543eca4171a1296fc5",
        ),
    )
)
PAIRS = (PairEntry(name="moons", source="moons", target="moons_rotated"),)
