"""Figure of features before and after adaptation, projected to two dimensions."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from results.figures import CLASS_COLOURS, DOMAIN_COLOURS, styled

# Below this share of the variance two principal components hide more than they show, and t-SNE is drawn instead.
ENOUGH_VARIANCE = 0.8
MOST_POINTS = 1000

Sample = Mapping[str, np.ndarray]


def draw_features(samples: dict[str, Sample], title: str) -> Figure:
    """One column a run; the upper row coloured by domain, the lower one by class.

    Args:
        samples: heading of the column -> features (N, D), labels (N,), domain_labels (N,); source 0, target 1.
        title: the pair as printed.
    """
    samples = {name: _thin(sample) for name, sample in samples.items()}
    planes, how = project({name: sample["features"] for name, sample in samples.items()})
    with styled():
        figure = Figure(figsize=(9, 8.4), layout="constrained")
        axes = figure.subplots(2, len(samples), squeeze=False)
        for column, (name, sample) in enumerate(samples.items()):
            axes[0, column].set_title(name, loc="left")
            _scatter(axes[0, column], planes[name], sample["domain_labels"], ("source", "target"), DOMAIN_COLOURS)
            classes = [str(label) for label in range(int(sample["labels"].max()) + 1)]
            _scatter(axes[1, column], planes[name], sample["labels"], classes, CLASS_COLOURS)
        axes[0, 0].set_ylabel("coloured by domain")
        axes[1, 0].set_ylabel("coloured by class (labels for colour only)")
        for row, heading in ((0, "domain"), (1, "class")):
            handles, labels = axes[row, -1].get_legend_handles_labels()
            axes[row, -1].legend(
                handles,
                labels,
                title=heading,
                loc="upper left",
                bbox_to_anchor=(1, 1),
                markerscale=2,
                handletextpad=0.2,
            )
        figure.suptitle(f"Test features, {title}\n", x=0.01, ha="left", fontsize=12)
        figure.text(0.01, 0.962, how, fontsize=9, color="#555555", va="top")
    return figure


def project(features: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], str]:
    """Each run's features in the plane, all runs by the same method, and that method in words.

    Two principal components where they hold at least `ENOUGH_VARIANCE` of every run's variance, otherwise t-SNE: linear where a linear
    picture is honest. Both are deterministic.

    Args:
        features: name -> (N, D).

    Returns:
        name -> (N, 2), and a caption.
    """
    planes, shares = {}, []
    for name, values in features.items():
        centred = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
        _, scales, directions = np.linalg.svd(centred, full_matrices=False)
        plane = centred @ directions[:2].T
        # A direction has no sign of its own: let the largest coordinate be positive.
        planes[name] = plane * np.sign(plane[np.abs(plane).argmax(axis=0), [0, 1]])
        shares.append(float((scales[:2] ** 2).sum() / (scales**2).sum()))
    if min(shares) >= ENOUGH_VARIANCE:
        held = " and ".join(f"{share:.0%}" for share in shares)
        return planes, f"Two principal components, a projection of its own for each run ({held} of the variance)."
    from sklearn.manifold import TSNE

    for name, values in features.items():
        planes[name] = TSNE(init="pca", perplexity=30, random_state=0).fit_transform(values)
    return (
        planes,
        "t-SNE (perplexity 30, random state 0): neighbourhoods have a meaning, sizes and distances of clusters do not.",
    )


def _thin(sample: Sample) -> Sample:
    # Evenly spaced points, so that both domains keep their share; t-SNE's time grows with the number.
    count = len(sample["labels"])
    kept = np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int)
    return {name: values[kept] for name, values in sample.items()}


def _scatter(
    axis: Axes, plane: np.ndarray, groups: np.ndarray, names: "list[str] | tuple[str, ...]", colours: tuple
) -> None:
    order = np.random.default_rng(0).permutation(len(plane))  # no group always on top
    for number, name in enumerate(names):
        axis.scatter([], [], s=9, color=colours[number % len(colours)], label=name)
    axis.scatter(
        *plane[order].T, s=9, c=[colours[group % len(colours)] for group in groups[order]], alpha=0.75, linewidths=0
    )
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color("#bbbbbb")
