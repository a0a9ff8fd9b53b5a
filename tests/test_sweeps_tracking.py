import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import create_trial

from sweeps.tracking import name_trial


@pytest.mark.parametrize(
    ("choice", "shown"), [("dann", "dann"), (None, "b None"), (True, "b True"), (0.12345, "b 0.123")]
)
def test_a_trial_is_named_by_whatever_it_chose(choice: object, shown: str) -> None:
    trial = create_trial(
        value=0.0,
        params={"a.b": choice},
        distributions={"a.b": CategoricalDistribution([choice])},  # type: ignore[list-item]
    )
    assert name_trial(trial) == f"{shown} (trial -1)"
