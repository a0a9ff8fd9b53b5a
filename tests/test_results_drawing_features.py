import numpy as np
import pytest

from results.drawing.base import to_png
from results.drawing.features import MOST_POINTS, choose_runs, draw_features, project
from tests.support.recorded_runs import describe_run, make_features, report


def test_the_runs_are_chosen_by_seed_not_by_accuracy() -> None:
    runs = [describe_run("a_to_b", "source_only", seed, x) for seed, x in ((4, 0.1), (1, 0.9), (0, 0.5))]
    runs += [describe_run("a_to_b", "dann", seed, x) for seed, x in ((4, 0.99), (1, 0.2), (2, 0.5))]
    assert choose_runs(report(*runs)) == {
        "before: source only, seed 1": "run1",
        "after: DANN, seed 1": "run4",
    }


@pytest.mark.parametrize("methods", [("dann",), ("source_only",), ("source_only", "target_only")])
def test_without_two_runs_there_is_no_figure(methods: tuple[str, ...]) -> None:
    assert choose_runs(report(*(describe_run("a_to_b", method, 0, 0.5) for method in methods))) == {}


def test_the_first_two_components_are_shown_as_they_are() -> None:
    recorded = np.random.default_rng(0).normal(size=(200, 4)) * [3, 1, 0.2, 0.1]
    found, how = project({"run": recorded.astype(np.float16)})
    np.testing.assert_allclose(found["run"], recorded[:, :2], atol=1e-2)
    assert how.startswith("two principal components")
    assert "(99% of the variance)" in how  # 10 of 10.05


@pytest.mark.parametrize("count", [12, 40])
def test_round_clouds_are_drawn_by_t_sne_the_same_every_time(count: int) -> None:
    features = {"run": make_features(count, 32)["features"]}
    planes, how = project(features)
    assert planes["run"].shape == (count, 2)
    assert how.startswith(f"t-SNE (perplexity {min(30, (count - 1) // 3)}, random state 0)")
    np.testing.assert_array_equal(planes["run"], project(features)[0]["run"])


def test_features_that_never_vary_are_drawn() -> None:
    planes, _ = project({"run": np.ones((20, 4), np.float32)})
    assert np.isfinite(planes["run"]).all()


def test_the_figure_has_a_row_for_domains_and_one_for_classes() -> None:
    samples = {"before": make_features(MOST_POINTS * 2, 2), "after": make_features(30, 2, seed=1)}
    figure = draw_features(samples, "a → b")
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["before", "after", "", ""]
    assert [len(axis.collections[-1].get_offsets()) for axis in figure.axes] == [MOST_POINTS, 30] * 2  # type: ignore[arg-type]
    legends = [[text.get_text() for text in axis.get_legend().get_texts()] for axis in figure.axes[1::2]]
    assert legends == [["source", "target"], ["0", "1", "2"]]
    assert to_png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("classes", [2, 10, 11, 65])
def test_every_class_has_a_colour_of_its_own_and_all_is_on_the_page(classes: int) -> None:
    samples = {heading: make_features(130, 2) | {"labels": np.arange(130) % classes} for heading in ("before", "after")}
    figure = draw_features(samples, "a → b")
    to_png(figure)
    colours = figure.axes[3].collections[-1].get_facecolor()
    assert len({tuple(colour) for colour in colours}) == classes  # type: ignore[arg-type]
    for axis in figure.axes:
        for drawn in (axis, *filter(None, [axis.get_legend()])):
            box = drawn.get_tightbbox()
            assert box is not None
            assert all(figure.bbox.contains(x, y) for x, y in box.corners())
