import pytest

from experiments.selection import select

EVALUATIONS = {
    10: {"source_accuracy": 0.9, "target_accuracy": 0.5, "information_maximisation": 0.2},
    20: {"source_accuracy": 0.8, "target_accuracy": 0.7, "information_maximisation": 0.4},
    30: {"source_accuracy": 0.9, "target_accuracy": 0.6, "information_maximisation": 0.4},
    40: {"source_accuracy": 0.7, "target_accuracy": 0.4, "information_maximisation": 0.1},
}


@pytest.mark.parametrize(
    ("selection", "step"),
    [("last", 40), ("source_accuracy", 30), ("information_maximisation", 30), ("target_oracle", 20)],
)
def test_the_chosen_step_and_everything_measured_there(selection, step):
    """On a tie, the later step."""
    selected = select(EVALUATIONS, selection)
    assert selected == {"selected_step": step} | {f"selected_{name}": v for name, v in EVALUATIONS[step].items()}


@pytest.mark.parametrize("selection", ["last", "source_accuracy", "information_maximisation"])
def test_only_the_oracle_looks_at_target_accuracy(selection):
    turned = {step: values | {"target_accuracy": 1 - values["target_accuracy"]} for step, values in EVALUATIONS.items()}
    assert select(turned, selection)["selected_step"] == select(EVALUATIONS, selection)["selected_step"]
    assert select(turned, "target_oracle")["selected_step"] != select(EVALUATIONS, "target_oracle")["selected_step"]
