import sys

import numpy as np
import pandas as pd
import pytest

from experiments.errors import BadInput
from experiments.record import names
from experiments.record.store import Unreachable
from experiments.validators import proxy_a_distance
from results.selecting import at_step, report_last, report_selected
from tests.support.recorded_runs import describe_table, frame, make_curves, make_evaluations

OWN = """
from experiments.validators import Validator

def worst(target_logits):
    return -float(abs(target_logits).max())

mine = Validator(worst, ("target_logits",), "worst")
greedy = Validator(worst, ("target_labels",), "greedy")
"""


def select_toy(selection: str, *, lost: tuple[str, ...] = ()) -> tuple[pd.DataFrame, list[str]]:
    """Two runs whose target accuracy rises with the step, and whose predictions are best at step 60."""
    runs = frame(*describe_table({"dann": (0.5, 0.8)}))
    curves = pd.concat(
        make_curves(target, adversarial=True, seed=seed).assign(run_id=f"run{seed}")
        for seed, target in enumerate((0.5, 0.8))
    )
    curves = curves[~curves["run_id"].isin(lost)]
    return report_selected(runs, selection, curves, lambda run_id: make_evaluations(int(run_id[-1])))


def test_last_is_what_mlflow_shows() -> None:
    reported, problems = select_toy("last")
    pd.testing.assert_frame_equal(reported, report_last(frame(*describe_table({"dann": (0.5, 0.8)}))))
    assert problems == []
    assert reported["step"].tolist() == [100, 100]
    assert reported["target_accuracy"].tolist() == [0.5, 0.8]
    assert reported["proxy_a_distance"].tolist() == [1.5, 1.5]


def test_all_numbers_of_a_row_are_of_the_step_that_a_validator_chooses() -> None:
    reported, _ = select_toy("information_maximisation")
    assert reported["selection"].unique().tolist() == ["information_maximisation"]
    assert reported["step"].tolist() == [60, 60]
    np.testing.assert_allclose(reported["target_accuracy"], [0.3, 0.48])
    np.testing.assert_allclose(reported["domain_loss"], np.log(2))
    seen = at_step(make_evaluations(1), 60)
    expected = proxy_a_distance(seen[names.FEATURES], seen[names.DOMAIN_LABELS])
    assert reported["proxy_a_distance"].tolist()[1] == expected
    last = at_step(make_evaluations(1), 100)
    assert expected != proxy_a_distance(last[names.FEATURES], last[names.DOMAIN_LABELS])


def test_the_oracle_chooses_by_validation_labels_and_reports_other_samples() -> None:
    reported, _ = select_toy("target_oracle")
    assert reported["step"].tolist() == [60, 60]
    runs = frame(*describe_table({"dann": (0.5,)}))
    curves = make_curves(0.5, adversarial=True).assign(run_id="run0")
    rest = curves["metric"] == names.TARGET_REST_ACCURACY
    curves.loc[rest, "value"] -= 0.1  # where the test split had to be divided
    reported, _ = report_selected(runs, "target_oracle", curves, lambda run_id: make_evaluations())
    assert reported["target_accuracy"].tolist() == pytest.approx([0.5 * 0.6 - 0.1])
    old = curves[~curves["metric"].isin([names.TARGET_VALIDATION_ACCURACY, names.TARGET_REST_ACCURACY])]
    with pytest.raises(BadInput, match="target_oracle needs target_validation_accuracy, which was not recorded"):
        report_selected(runs, "target_oracle", old, lambda run_id: make_evaluations())


def test_runs_of_an_earlier_version_are_scored_by_what_they_left() -> None:
    runs = frame(*describe_table({"dann": (0.5,)}))
    curves = make_curves(0.5, adversarial=True).assign(run_id="run0")
    curves = curves[curves["metric"] != "mixval"]
    scored, _ = report_selected(runs, "mixval", curves, lambda run_id: make_evaluations())
    assert scored["step"].tolist() == [100]  # all three agree: the last
    left = {name: values for name, values in make_evaluations().items() if name != names.MIXED_LOGITS}
    with pytest.raises(BadInput, match="selection mixval needs mixed_logits, which was not recorded"):
        report_selected(runs, "mixval", curves, lambda run_id: left)


def test_a_validator_that_compares_reads_all_evaluations() -> None:
    reported, problems = select_toy("ensv")
    assert problems == []
    assert reported["step"].tolist() == [100, 100]  # the predicted classes are the same at every step


def test_a_validator_of_the_users_own_chooses_on_finished_runs(tmp_path, monkeypatch) -> None:
    (tmp_path / "own_validators.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_validators", raising=False)
    reported, _ = select_toy("own_validators:mine")
    assert reported["step"].tolist() == [100, 100]  # of the two evaluations with small logits the later one
    assert reported["proxy_a_distance"].tolist() == [1.5, 1.5]  # of the last step, as MLflow has it
    with pytest.raises(BadInput, match="own_validators:greedy needs target_labels, which was not recorded"):
        select_toy("own_validators:greedy")


def test_an_unknown_selection_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="unknown validator 'nuclear': did you mean 'nuclear_norm'"):
        select_toy("nuclear")


def test_a_run_without_curves_has_no_numbers_and_is_named() -> None:
    reported, problems = select_toy("nuclear_norm", lost=("run0",))
    assert np.isnan(reported.loc["run0", "target_accuracy"])  # type: ignore[arg-type]
    assert reported.loc["run1", "step"] == 60
    assert problems == ["run run0: it has no evaluation in curves.parquet"]
    with pytest.raises(
        BadInput, match="no run can be reported by selection nuclear_norm: run run0: it has no evaluation in curves"
    ):
        select_toy("nuclear_norm", lost=("run0", "run1"))


def test_a_run_whose_evaluations_are_gone_lacks_what_only_they_tell() -> None:
    runs = frame(*describe_table({"dann": (0.5, 0.8)}))
    curves = pd.concat(make_curves(0.5, adversarial=True).assign(run_id=run_id) for run_id in runs.index)

    def read(run_id: str) -> dict:
        if run_id == "run0":
            raise Unreachable("gone")
        return make_evaluations()

    reported, problems = report_selected(runs, "nuclear_norm", curves, read)
    assert reported["target_accuracy"].tolist() == pytest.approx([0.3, 0.3])
    assert reported["proxy_a_distance"].isna().tolist() == [True, False]
    assert problems == ["run run0: no proxy A-distance: gone"]
    reported, problems = report_selected(runs, "ensv", curves, read)  # chooses by the evaluations themselves
    assert reported["target_accuracy"].isna().tolist() == [True, False]
    assert problems == ["run run0: gone"]


def test_an_evaluation_that_was_never_made_is_named() -> None:
    with pytest.raises(BadInput, match=r"evaluations\.npz has no evaluation at step 7"):
        at_step(make_evaluations(), 7)
