import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from experiments.methods import METHODS
from results.cells import NAMED
from results.drawing.base import colour_methods, to_png
from results.drawing.curves import average_curves, draw_curves
from results.drawing.run_curves import draw_run
from tests.support.recorded_runs import describe_run, describe_table, make_curves, report

TARGETS = {"source_only": (0.5, 0.6, 0.7), "dann": (0.7, 0.9, 0.8)}


def toy(methods: tuple[str, ...] = ("source_only", "dann")) -> tuple[pd.DataFrame, pd.DataFrame]:
    described = describe_table({name: TARGETS[name] for name in methods})
    runs = report(*described)
    parts = [
        make_curves(run["metrics"]["target_accuracy"], adversarial=run["params"]["method"] == "dann").assign(
            run_id=run_id
        )
        for run_id, run in zip(runs.index, described, strict=True)
    ]
    return runs, pd.concat(parts, ignore_index=True)


def line(axis: Axes, label: str) -> tuple[list[float], list[float]]:
    [found] = [line for line in axis.lines if line.get_label() == label]
    return list(found.get_xdata()), list(found.get_ydata())  # type: ignore[arg-type]


def test_average_by_hand() -> None:
    lines = average_curves(*toy()).set_index(["name", "metric", "step"])
    last = lines.loc[("DANN", "target_accuracy", 60)]
    np.testing.assert_allclose([last["progress"], last["mean"], last["sd"]], [0.6, 0.8 * 0.6, 0.1 * 0.6])


def test_each_panel_shows_its_curves() -> None:
    figure = draw_curves(*toy(), "a → b")
    target, source, domain, schedule, lr = figure.axes
    np.testing.assert_allclose(line(target, "DANN"), [[20, 60, 100], [0.16, 0.48, 0.8]])
    np.testing.assert_allclose(line(target, "source only"), [[20, 60, 100], [0.12, 0.36, 0.6]])
    np.testing.assert_allclose(line(source, "DANN")[1], 0.9)
    np.testing.assert_allclose(line(domain, "DANN")[1], math.log(2))
    assert [found.get_ydata()[0] for found in domain.lines if found.get_linestyle() == "--"] == [math.log(2)]
    assert "source only" not in [found.get_label() for found in domain.lines]
    np.testing.assert_allclose(schedule.lines[0].get_xdata(), [0.2, 0.6, 1.0])  # progress, not steps
    np.testing.assert_allclose(schedule.lines[0].get_ydata(), [0.2, 0.6, 1.0])
    assert len(lr.lines) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["source only", "DANN"]
    assert "n = 3 seeds" in figure.get_suptitle()


def test_a_band_of_accuracies_stays_between_none_and_all() -> None:
    runs, curves = toy()
    is_accuracy = curves["metric"] == "target_accuracy"
    values = dict(zip(runs.index, [0.0, 0.0, 0.3, 1.0, 1.0, 0.7], strict=True))
    curves.loc[is_accuracy, "value"] = curves["run_id"].map(values)
    target = draw_curves(runs, curves, "a → b").axes[0]
    heights = np.concatenate([band.get_paths()[0].vertices[:, 1] for band in target.collections])
    assert (heights.min(), heights.max()) == (0, 1)


def test_ln_2_is_inside_the_panel_even_for_a_small_domain_loss() -> None:
    runs, curves = toy()
    curves.loc[curves["metric"] == "domain_loss", "value"] = 0.01
    low, high = draw_curves(runs, curves, "a → b").axes[2].get_ylim()
    assert low < 0.01 < math.log(2) < high


def test_without_an_adversary_the_panel_says_so() -> None:
    domain = draw_curves(*toy(("source_only",)), "a → b").axes[2]
    assert [text.get_text() for text in domain.texts] == ["no adversary in these runs"]


def test_equal_curves_give_equal_files() -> None:
    content = to_png(draw_curves(*toy(), "a → b"))
    assert content.startswith(b"\x89PNG")
    assert content == to_png(draw_curves(*toy(), "a → b"))


@pytest.mark.parametrize("method", ["source_only", "dann"])
def test_one_run(method: str) -> None:
    accuracy, loss, schedules = draw_run(make_curves(0.5, adversarial=method == "dann"), "run").axes
    np.testing.assert_allclose(line(accuracy, "target_accuracy")[1], [0.1, 0.3, 0.5])
    assert ("ln 2" in [found.get_label() for found in loss.lines]) == (method == "dann")
    assert ("alpha" in [found.get_label() for found in schedules.lines]) == (method == "dann")


def test_a_method_keeps_its_colour_and_no_two_share_one() -> None:
    first, second = colour_methods(["dann", "source_only"]), colour_methods(["mdd", "cdan", "dann", "target_only"])
    assert first["dann"] == second["dann"]
    assert len(set(second.values())) == len(second) == 5
    every = colour_methods([*METHODS, *NAMED.values()])
    assert len(set(every.values())) == len(every)


def test_many_variants_of_a_method_are_told_apart_by_colour() -> None:
    values = [0.1 * (1 + variant) for variant in range(6)]
    described = [describe_run("a_to_b", "dann", seed, value) for value in values for seed in (0, 1)]
    for run, value in zip(described, [value for value in values for _ in (0, 1)], strict=True):
        run["params"]["method.alpha.gamma"] = f"{value:.1f}"
    runs = report(*described)
    parts = [make_curves(0.5, adversarial=True).assign(run_id=run_id) for run_id in runs.index]
    target = draw_curves(runs, pd.concat(parts, ignore_index=True), "a → b").axes[0]
    assert len(target.lines) == 6
    assert len({line.get_color() for line in target.lines}) == 6
    assert not target.collections  # bands of six lines would hide them
