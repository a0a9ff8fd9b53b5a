import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from experiments.errors import BadInput
from experiments.record import names


@given(st.one_of(st.text(max_size=8), st.text("ab:.-_/ é\n", max_size=12), st.integers(248, 252).map("a".__mul__)))
@settings(max_examples=500)
@example("")
@example(".")
@example("..a")
@example("a/../b")
@example("a/")
@example("label loss: a-b.c/d_0")
@example("MNIST → MNIST-M")
def test_a_metric_name_is_refused_exactly_when_mlflow_refuses_it(name):
    from mlflow.exceptions import MlflowException
    from mlflow.utils.validation import _validate_metric

    try:
        _validate_metric(name, 0.5, 0, 0)
    except MlflowException:
        with pytest.raises(BadInput, match=r"^metric name must be at most 250 letters"):
            names.check_metric_name(name)
    else:
        if not name.endswith("\n"):  # a slip of MLflow's pattern
            names.check_metric_name(name)
