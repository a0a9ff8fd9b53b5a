"""Figure of features before and after adaptation, projected to two dimensions."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import NoNorm, to_hex
from matplotlib.figure import Figure

from experiments.record import names
from results.cells import LOWER, UPPER, agree
from results.drawing.base import CLASS_COLOURS, DOMAIN_COLOURS, GREY, Material, styled
from results.selecting import at_step
from results.words import title_method

# Below this share of the variance two principal components hide more than they show, and t-SNE is drawn instead.
ENOUGH_VARIANCE = 0.8
MOST_POINTS = 600  # enough to see clusters; t-SNE's time grows with the number

Sample = Mapping[str, np.ndarray]


def draw(material: Material) -> Iterator[tuple[str, Figure]]:
    """Features of the reported step before and after adaptation, for each pair and recipe."""
    for place, title, part in material.by_recipe():
        if samples := read_chosen(part):
            yield f"{place} features", draw_features(samples, title)


def read_chosen(part: Material) -> dict[str, Sample]:
    """What the runs of `choose_runs` recorded at their reported step, by heading; empty where one recorded nothing."""
    samples: dict[str, Sample] = {}
    for heading, run_id in choose_runs(part.runs).items():
        arrays = part.read_evaluations(run_id)
        if arrays is None:
            return {}
        samples[heading] = at_step(arrays, int(part.runs["step"][run_id]))
    return samples


def choose_runs(runs: pd.DataFrame) -> dict[str, str]:
    """Which two runs to look at: the first other method and its source_only, for the lowest seed that both have.

    The choice never looks at an accuracy.

    Args:
        runs: one row a run of one pair and recipe, with the columns of `name_cells`.

    Returns:
        Heading -> run id; empty if no seed has both.
    """
    sources = runs[runs["method"] == LOWER]
    between = runs[~runs["method"].isin([LOWER, UPPER])].sort_values(["method", "variant", "seed"])
    for run_id, after in between.iterrows():
        own_fields = after.to_dict()
        same_seed = sources[sources["seed"] == after["seed"]]
        agreed = [(own, before) for own, before in same_seed.iterrows() if agree(own_fields, before.to_dict())]
        if len(agreed) == 1:
            [(own, before)] = agreed
            return {
                f"before: {title_method(LOWER, before['variant'])}, seed {after['seed']}": str(own),
                f"after: {title_method(after['method'], after['variant'])}, seed {after['seed']}": str(run_id),
            }
    return {}


def draw_features(samples: Mapping[str, Sample], title: str) -> Figure:
    """One column a run; the upper row coloured by domain, the lower one by class.

    Args:
        samples: heading of the column -> features (N, D), labels (N,), domain_labels (N,); source 0, target 1.
        title: the pair as printed.
    """
    samples = {heading: _thin(sample) for heading, sample in samples.items()}
    planes, how = project({heading: sample["features"] for heading, sample in samples.items()})
    classes = [str(label) for label in range(1 + max(int(sample["labels"].max()) for sample in samples.values()))]
    is_many = len(classes) > len(CLASS_COLOURS)  # than can be told apart one by one
    scale = colormaps["viridis"].resampled(len(classes))
    colours = [to_hex(scale(label)) for label in range(len(classes))] if is_many else CLASS_COLOURS
    with styled():
        figure = Figure(figsize=(9, 7.6), layout="constrained")
        panels = figure.subplots(2, len(samples), squeeze=False)
        for column, (heading, sample) in enumerate(samples.items()):
            panels[0, column].set_title(heading, loc="left")
            _scatter(panels[0, column], planes[heading], sample["domain_labels"], ("source", "target"), DOMAIN_COLOURS)
            _scatter(panels[1, column], planes[heading], sample["labels"], classes, colours)
        panels[0, 0].set_ylabel("coloured by domain")
        panels[1, 0].set_ylabel("coloured by class (both domains)")
        for row, heading in ((0, "domain"), (1, "class"))[: 1 if is_many else 2]:
            panels[row, -1].legend(title=heading, loc="upper left", bbox_to_anchor=(1, 1), markerscale=2)
        if is_many:
            beside = panels[1, -1].inset_axes((1.03, 0, 0.04, 1))
            figure.colorbar(ScalarMappable(NoNorm(), scale), beside, label="class")
        figure.suptitle(f"{title}: features of the test splits\n", x=0.01, ha="left", fontsize=12)
        figure.text(0.01, 0.958, how, fontsize=9.5, color=GREY, va="top")
    return figure


def project(features: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], str]:
    """Each run's features in the plane, all runs by the same method, and that method in words.

    What is recorded are principal components, the largest first: the first two where they hold at least
    `ENOUGH_VARIANCE` of every run's variance, otherwise t-SNE: linear where a linear picture is honest. Both are
    deterministic.

    Args:
        features: name -> (N, D), N and D at least 2.

    Returns:
        name -> (N, 2), and a caption.
    """
    wide = {name: values.astype(np.float64) for name, values in features.items()}
    variances = {name: values.var(axis=0) for name, values in wide.items()}
    shares = [float(each[:2].sum() / each.sum()) if each.any() else 1.0 for each in variances.values()]
    if min(shares) >= ENOUGH_VARIANCE:
        held = " and ".join(f"{share:.0%}" for share in shares)
        planes = {name: values[:, :2] for name, values in wide.items()}
        return planes, f"two principal components, a projection of its own for each run ({held} of the variance)"
    from sklearn.manifold import TSNE

    perplexity = min(30, *((len(values) - 1) // 3 for values in wide.values()))
    planes = {
        name: TSNE(init="pca", perplexity=perplexity, random_state=0).fit_transform(values)
        for name, values in wide.items()
    }
    note = "neighbourhoods have a meaning, sizes and distances of clusters have none"
    return planes, f"t-SNE (perplexity {perplexity}, random state 0): {note}"


def _thin(sample: Sample) -> Sample:
    # Evenly spaced points, so that both domains keep their share.
    count = len(sample[names.LABELS])
    kept = np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int)
    return {name: sample[name][kept] for name in (names.FEATURES, names.LABELS, names.DOMAIN_LABELS)}


def _scatter(
    axis: Axes, plane: np.ndarray, groups: np.ndarray, groups_named: Sequence[str], colours: Sequence[str]
) -> None:
    order = np.random.default_rng(0).permutation(len(plane))  # no group always on top
    for number, name in enumerate(groups_named):
        axis.scatter([], [], s=12, color=colours[number % len(colours)], label=name)
    drawn = [colours[group % len(colours)] for group in groups[order]]
    axis.scatter(plane[order, 0], plane[order, 1], s=12, c=drawn, alpha=0.8, linewidths=0)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color("#bbbbbb")
