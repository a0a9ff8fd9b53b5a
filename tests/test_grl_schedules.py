"""Schedules: end points, bounds, horizons, errors, and the published curves."""

import dataclasses
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grl import presets
from grl.adaptive import AccuracyFeedback, AdaptiveState, NormFeedback
from grl.compose import Cap, Delay, Scale
from grl.schedules import Constant, Cosine, Cyclic, Ganin, InverseDecay, Linear, Polynomial, Schedule, Staircase, Step

PLAIN: list[Schedule] = [Constant(), Ganin(), Linear(), Cosine(), Step(), Staircase(), Cyclic(), Polynomial()]
TIMED = [Ganin, Linear, Cosine, Step, Staircase, Cyclic, Polynomial, InverseDecay]
progresses = st.floats(0, 1)
schedules = st.sampled_from(PLAIN)


@given(schedule=schedules, progress=progresses)
def test_every_schedule_stays_between_0_and_1_and_repeats_itself(schedule: Schedule, progress: float) -> None:
    value = schedule(progress)
    assert isinstance(value, float)
    assert 0.0 <= value <= 1.0
    assert schedule(progress) == value


@given(schedule=st.sampled_from([Ganin(), Linear(), Cosine(), Step(), Polynomial()]), a=progresses, b=progresses)
def test_ramps_rise(schedule: Schedule, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert schedule(low) <= schedule(high) + 1e-15


@pytest.mark.parametrize("kind", TIMED)
@given(step=st.integers(0, 3000))
def test_a_horizon_counts_steps_whatever_the_progress(kind, step: int) -> None:
    timed, whole = kind(horizon=1000), kind()
    assert timed(0.123, step=step) == whole(min(1.0, step / 1000))


@pytest.mark.parametrize("step", [np.int64(500), np.uint8(50), 500])
def test_a_step_counted_by_numpy(step: int) -> None:
    assert Linear(horizon=1000)(0.0, step=step) == int(step) / 1000
    assert Linear(horizon=np.int32(1000))(0.0, step=step) == int(step) / 1000  # pyright: ignore


@pytest.mark.parametrize("kind", TIMED)
def test_a_horizon_needs_the_step(kind) -> None:
    with pytest.raises(
        ValueError, match="step must be given, because the schedule has a horizon of 1000 steps, got None"
    ):
        kind(horizon=1000)(0.5)
    with pytest.raises(ValueError, match="step must be an integer >= 0, got -1"):
        kind(horizon=1000)(0.5, step=-1)
    with pytest.raises(ValueError, match="horizon must be an integer >= 1, got 0"):
        kind(horizon=0)
    with pytest.raises(TypeError, match=r"horizon must be an integer >= 1, got 1\.5"):
        kind(horizon=1.5)


@pytest.mark.parametrize("schedule", [*PLAIN, InverseDecay(), Delay(schedule=Linear()), Cap(schedule=Linear())])
@pytest.mark.parametrize("progress", [-0.01, 1.01, math.nan, math.inf])
def test_progress_outside_0_and_1(schedule: Schedule, progress: float) -> None:
    with pytest.raises(ValueError, match=r"progress must be (in \[0, 1\]|finite), got"):
        schedule(progress)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Constant(value=-1), r"value must be finite and >= 0, got -1"),
        (lambda: Constant(value=math.nan), r"value must be finite and >= 0, got nan"),
        (lambda: Ganin(gamma=0.0), r"gamma must be finite and > 0, got 0"),
        (lambda: Ganin(gamma=math.inf), r"gamma must be finite and > 0, got inf"),
        (lambda: Ganin(alpha_max=-0.1), r"alpha_max must be finite and >= 0, got -0.1"),
        (lambda: Linear(start=-1), r"start must be finite and >= 0"),
        (lambda: Linear(end=math.inf), r"end must be finite and >= 0, got inf"),
        (lambda: Cosine(end=-1), r"end must be finite and >= 0"),
        (lambda: Ganin(gamma=math.nan), r"gamma must be finite and > 0, got nan"),
        (lambda: Step(at=math.nan), r"at must be in \[0, 1\], got nan"),
        (lambda: Step(at=10**400), r"at must be in \[0, 1\], got inf"),
        (lambda: Constant(value=10**400), r"value must be finite and >= 0, got inf"),
        (lambda: Constant(value=Fraction(-(10**400))), r"value must be finite and >= 0, got -inf"),
        (lambda: Ganin(gamma=10**400), r"gamma must be finite and > 0, got inf"),
        (lambda: Step(at=1.5), r"at must be in \[0, 1\], got 1.5"),
        (lambda: Step(after=-1), r"after must be finite and >= 0"),
        (lambda: Staircase(start=-1), r"start must be finite and >= 0, got -1"),
        (lambda: Staircase(factor=-1), r"factor must be finite and >= 0, got -1"),
        (lambda: Staircase(first=1.5), r"first must be in \[0, 1\], got 1.5"),
        (lambda: Staircase(every=0.0), r"every must be finite and > 0, got 0"),
        (lambda: Cyclic(cycles=0), r"cycles must be an integer >= 1, got 0"),
        (lambda: Cyclic(low=-1), r"low must be finite and >= 0"),
        (lambda: Polynomial(power=0), r"power must be finite and > 0, got 0"),
        (lambda: InverseDecay(lr=0), r"lr must be finite and > 0, got 0"),
        (lambda: InverseDecay(rate=-1), r"rate must be finite and >= 0, got -1"),
        (lambda: InverseDecay(power=-1), r"power must be finite and >= 0, got -1"),
        (lambda: Delay(schedule=Linear(), start=1.0), r"start must be in \[0, 1\), got 1.0"),
        (lambda: Delay(schedule=Ganin(horizon=5)), r"schedule must have no horizon inside a Delay.*got horizon=5"),
        (lambda: Delay(schedule=Cap(schedule=Ganin(horizon=5))), r"got horizon=5"),
        (lambda: Cap(schedule=Linear(), maximum=-1), r"maximum must be finite and >= 0"),
        (lambda: Scale(schedule=Linear(), factor=-1), r"factor must be finite and >= 0"),
        (lambda: AccuracyFeedback(target=0.4), r"target must be in \[0.5, 1\], got 0.4"),
        (lambda: AccuracyFeedback(alpha_min=0.0), r"alpha_min must be finite and > 0, got 0"),
        (lambda: AccuracyFeedback(alpha_start=2.0), r"alpha_start must be in \[0.001, 1\], got 2"),
        (lambda: NormFeedback(share=0.0), r"share must be finite and > 0, got 0"),
        (lambda: NormFeedback(memory=1.5), r"memory must be in \[0, 1\], got 1.5"),
        (lambda: AdaptiveState(alpha=-1.0), r"alpha must be finite and >= 0, got -1"),
    ],
)
def test_bad_arguments(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("kind", [Delay, Cap, Scale])
@pytest.mark.parametrize("bad", [1, 0.5, None, "linear", Linear, Ganin], ids=repr)
def test_what_is_made_of_a_schedule_needs_one(kind, bad: object) -> None:
    with pytest.raises(TypeError, match="schedule must be a schedule, a callable of progress and step, got "):
        kind(schedule=bad)
    assert kind(schedule=lambda progress, *, step=None: progress)(1.0) == 1.0


@pytest.mark.parametrize("bad", ["1", None, True])
def test_a_number_is_a_number(bad: object) -> None:
    with pytest.raises(TypeError, match="value must be a real number, got"):
        Constant(value=bad)  # pyright: ignore


@pytest.mark.parametrize("schedule", PLAIN)
def test_plain_schedules_are_frozen_and_survive_json(schedule: Schedule) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.value = 2.0  # pyright: ignore
    restored = type(schedule)(**json.loads(json.dumps(dataclasses.asdict(schedule))))
    assert restored == schedule
    assert hash(restored) == hash(schedule)


def test_ganin_at_the_tabled_positions() -> None:
    """Values of 2 / (1 + exp(-gamma p)) - 1 as published tables round them."""
    table = {
        1.0: (0.025, 0.050, 0.100, 0.149, 0.245, 0.462),
        2.5: (0.062, 0.124, 0.245, 0.358, 0.555, 0.848),
        5.0: (0.124, 0.245, 0.462, 0.635, 0.848, 0.987),
        10.0: (0.245, 0.462, 0.762, 0.905, 0.987, 1.0),
        20.0: (0.462, 0.762, 0.964, 0.995, 1.0, 1.0),
    }
    for gamma, row in table.items():
        for progress, value in zip((0.05, 0.1, 0.2, 0.3, 0.5, 1.0), row, strict=True):
            assert Ganin(gamma=gamma)(progress) == pytest.approx(value, abs=5.1e-4)


@given(steps=st.integers(1, 100_000), first=st.integers(0, 100), every=st.integers(1, 100), places=st.data())
def test_a_staircase_jumps_at_the_step_it_says(steps: int, first: int, every: int, places: st.DataObject) -> None:
    """Counted in whole hundredths of the training, without rounding."""
    stairs = Staircase(start=3.0, factor=0.5, first=first / 100, every=every / 100)
    step = places.draw(st.integers(0, steps))
    jumps = max(0, (100 * step - first * steps) // (every * steps) + 1)
    assert stairs(step / steps) == 3.0 * 0.5**jumps


def test_inverse_decay_of_the_paper() -> None:
    assert InverseDecay()(0.0) == 0.01
    assert InverseDecay()(1.0) == pytest.approx(0.01 / 11**0.75, rel=1e-15)
    # The authors' Caffe solver: (1 + 0.001 · iteration) ** -0.75 over 50,000 iterations.
    caffe = InverseDecay(lr=0.001, rate=50.0, horizon=50_000)
    assert caffe(0.2, step=10_000) == pytest.approx(0.001 * (1 + 0.001 * 10_000) ** -0.75, rel=1e-14)


# The curves as their owners write them, at step i.
def written(hi: float, alpha: float, horizon: int):
    return lambda i: 2.0 * hi / (1.0 + math.exp(-alpha * i / horizon)) - hi


STEPS = [
    *range(0, 3000, 7),
    3000,
    5000,
    9_999,
    10_000,
    10_001,
    20_000,
    50_000,
    99_999,
    100_000,
    200_000,
    299_999,
    300_001,
]
CURVES = {
    "CAFFE": (presets.CAFFE, lambda i: 2.0 / (1.0 + math.exp(-10.0 * min(1.0, i / 10_000))) - 1.0),
    "TRANSFER_LEARNING_LIBRARY": (presets.TRANSFER_LEARNING_LIBRARY, written(1.0, 1.0, 1000)),
    "CDAN": (presets.CDAN, written(1.0, 10.0, 10_000)),
    "MDD": (presets.MDD, written(0.1, 1.0, 1000)),
    "F_DAL": (presets.F_DAL, written(0.6, 1.0, 3000)),
    "DEEP_DA_LAYER": (presets.DEEP_DA_LAYER, lambda i: 2.0 / (1.0 + math.exp(-1.0 * min(i, 1000) / 1000)) - 1.0),
    "ADAPT": (
        presets.ADAPT,
        lambda i: (2.0 / (1.0 + math.exp(-min(i / 1000, 1.0))) - 1.0) / (2.0 / (1.0 + math.exp(-1.0)) - 1.0),
    ),
}


@pytest.mark.parametrize("name", CURVES)
def test_presets_by_step(name: str) -> None:
    schedule, curve = CURVES[name]
    for step in STEPS:
        assert schedule(0.5, step=step) == pytest.approx(curve(step), abs=1e-12)


@given(progress=progresses)
def test_presets_by_progress(progress: float) -> None:
    assert presets.PAPER(progress) == pytest.approx(2.0 / (1.0 + math.exp(-10.0 * progress)) - 1.0, abs=1e-12)
    assert presets.DEEP_DA(progress) == pytest.approx(2.0 / (1.0 + math.exp(-progress)) - 1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("schedule", "row"),
    [
        (presets.PAPER, (0.050, 0.245, 0.848, 0.987, 0.999, 1.00)),
        (presets.TRANSFER_LEARNING_LIBRARY, (0.010, 0.050, 0.245, 0.462, 0.635, 0.762)),
        (presets.DEEP_DA_LAYER, (0.010, 0.050, 0.245, 0.462, 0.462, 0.462)),
        (presets.ADAPT, (0.022, 0.108, 0.530, 1.00, 1.00, 1.00)),
    ],
)
def test_effective_coefficients_over_2000_steps(schedule: Schedule, row: tuple[float, ...]) -> None:
    """One formula, very different adversaries: coefficients measured in four libraries, 20 epochs of 100 steps."""
    for progress, value in zip((0.01, 0.05, 0.25, 0.5, 0.75, 1.0), row, strict=True):
        assert schedule(progress, step=round(2000 * progress)) == pytest.approx(value, abs=6e-4)


@given(progress=progresses, start=st.floats(0, 0.99))
def test_delay_runs_the_whole_schedule_in_what_is_left(progress: float, start: float) -> None:
    delayed = Delay(schedule=Ganin(), start=start, before=0.2)
    expected = 0.2 if progress < start else Ganin()(min(1.0, (progress - start) / (1.0 - start)))
    assert delayed(progress) == expected


def test_compositions_nest_and_pass_the_step_on() -> None:
    schedule = Cap(schedule=Scale(schedule=Ganin(horizon=100), factor=2.0), maximum=1.5)
    assert schedule(0.0, step=100) == 1.5
    assert schedule(0.0, step=10) == pytest.approx(2.0 * Ganin()(0.1))
    timed = Delay(schedule=Linear(), start=0.5, horizon=100)
    assert timed(0.0, step=75) == 0.5
    assert timed(0.0, step=500) == 1.0


@given(accuracies=st.lists(progresses, min_size=1, max_size=50), rate=st.sampled_from([5.0, 1e4, 1e300]))
def test_accuracy_feedback_stays_in_bounds(accuracies: list[float], rate: float) -> None:
    control = AccuracyFeedback(rate=rate)
    state = control.start()
    for accuracy in accuracies:
        state = control.update(state, accuracy)
        assert control.alpha_min <= state.alpha <= control.alpha_max
    assert state.updates == len(accuracies)


def test_accuracy_feedback_reverses_more_while_the_classifier_wins() -> None:
    control = AccuracyFeedback()
    start = control.start()
    assert control.update(start, 1.0).alpha > start.alpha
    assert control.update(start, 0.5).alpha < start.alpha
    assert control.update(start, control.target).alpha == start.alpha


def test_accuracy_feedback_settles_a_plant() -> None:
    """With an accuracy that falls as alpha grows, the loop finds the alpha where it meets the target."""
    control = AccuracyFeedback(rate=0.5, memory=0.5)
    state = control.start()
    for _ in range(500):
        state = control.update(state, 0.5 + 0.5 * math.exp(-5.0 * state.alpha))
    assert state.average == pytest.approx(control.target, abs=1e-3)
    assert state.alpha == pytest.approx(-math.log(0.2) / 5.0, abs=1e-2)


def test_norm_feedback_balances_the_gradients() -> None:
    control = NormFeedback(share=0.5, memory=0.5)
    state = control.start()
    for _ in range(60):
        state = control.update(state, label_norm=2.0, domain_norm=5.0)
    assert state.alpha * 5.0 == pytest.approx(0.5 * 2.0)
    assert control.update(state, label_norm=1.0, domain_norm=0.0).alpha <= control.alpha_max
    assert NormFeedback(memory=0.0).update(state, label_norm=1.0, domain_norm=0.0).alpha == 1.0
    assert NormFeedback(memory=0.0).update(state, label_norm=0.0, domain_norm=1.0).alpha == 0.0


@pytest.mark.parametrize("control", [AccuracyFeedback(), NormFeedback()])
def test_a_restored_state_goes_on_the_same(control: AccuracyFeedback | NormFeedback) -> None:
    def update(state: AdaptiveState, value: float) -> AdaptiveState:
        if isinstance(control, AccuracyFeedback):
            return control.update(state, value)
        return control.update(state, label_norm=value, domain_norm=1.0)

    values = [0.9, 0.8, 0.55, 0.7, 0.6]
    state = control.start()
    for value in values[:2]:
        state = update(state, value)
    restored = AdaptiveState(**json.loads(json.dumps(dataclasses.asdict(state))))
    for value in values[2:]:
        state, restored = update(state, value), update(restored, value)
    assert restored == state


@pytest.mark.parametrize("accuracy", [-0.1, 1.1, math.nan])
def test_bad_feedback(accuracy: float) -> None:
    with pytest.raises(ValueError, match="domain_accuracy must be"):
        AccuracyFeedback().update(AccuracyFeedback().start(), accuracy)
    with pytest.raises(ValueError, match="label_norm must be finite and >= 0"):
        NormFeedback().update(NormFeedback().start(), label_norm=-1.0, domain_norm=1.0)
    with pytest.raises(ValueError, match="domain_norm must be finite and >= 0"):
        NormFeedback().update(NormFeedback().start(), label_norm=1.0, domain_norm=math.inf)
