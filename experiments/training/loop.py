"""The training loop: one for every program, read from top to bottom."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from experiments.errors import NonFiniteLoss
from experiments.experiment import Experiment
from experiments.methods import Method
from experiments.networks import Networks
from experiments.record.names import LR, TARGET_LOGITS
from experiments.training.evaluation import Evaluation
from grl.doctor import Verdict


class Program(Protocol):
    """Runs of one recipe, M of them, as the loop sees them: one in the plain way, or many stacked.

    Attributes:
        name: For the record.
        experiments: The members; what may differ among them, the program says.
        methods: Theirs, each once.
        method_of: Which of these each member has.
        curves: Names of what `step` returns; known after the first step.
        device: Where it computes.
        steps: How many there are.
        resting: Whether the weights are up to date, as they are at evaluations; a run stops nowhere else.
    """

    name: str
    device: torch.device
    steps: int
    experiments: list[Experiment]
    methods: list[Method]
    method_of: list[int]
    curves: list[str]

    @property
    def resting(self) -> bool: ...

    def step(self, lr: float, scheduled: Sequence[dict[str, float]]) -> Tensor:
        """Update the weights once, at the scheduled values of each method; what there is to log, (M, curves)."""
        ...

    def evaluate(self) -> list[Evaluation]:
        """Measure every member."""
        ...

    def diagnose(self) -> list[Verdict | None]:
        """The doctor's verdict on every member, before the first step."""
        ...

    def measure_adversary(self, index: int, begun: Mapping[str, Tensor]) -> dict[str, float]:
        """What has become of one member's adversary, after the last step; nothing where it has none.

        Args:
            index: The member.
            begun: The weights of its heads before the first step, by name.
        """
        ...

    def member(self, index: int) -> Networks:
        """The networks of one member."""
        ...

    def begin(self, index: int, weights: dict[str, Tensor]) -> None:
        """Let the networks of one member begin with these weights and buffers, by name, and not with drawn ones."""
        ...

    def state(self, index: int) -> dict[str, Any]:
        """Everything of one member that a later step depends on; its tensors are copies on the CPU."""
        ...

    def load(self, index: int, state: dict[str, Any]) -> None:
        """Go on from what `state` returned, of this member in this or another program."""
        ...


class Watch:
    """Who is told what happens; by itself it does nothing. Members are named by their index."""

    def diagnosed(self, member: int, verdict: Verdict) -> None:
        """The doctor has looked at an adversary."""

    def logged(self, step: int, values: dict[int, dict[str, float]]) -> None:
        """The means of the training curves since the previous point, after `step` steps."""

    def evaluated(self, step: int, evaluations: dict[int, Evaluation]) -> None:
        """All members have been measured."""

    def reached(self, step: int, state: Callable[[int], dict[str, Any]]) -> None:
        """A point that a training can go on from: `state(member)` is what `train` takes back."""

    def failed(self, member: int, error: NonFiniteLoss) -> None:
        """A loss of this member is infinite or NaN; the others are not touched by it."""

    def must_stop(self) -> bool:
        """Whether to stop here; asked before every step at which weights are up to date."""
        return False


def train(program: Program, watch: Watch, states: Sequence[dict[str, Any]] | None = None) -> None:
    """Train the members of a program to their end.

    Args:
        program: What is trained, in place.
        watch: Receives what happens.
        states: What `Watch.reached` handed out for each member at one and the same step, to go on from there; the end
            is then bit-identical to that of an uninterrupted run on the same machine.

    Raises:
        KeyboardInterrupt: `watch.must_stop()`; `watch.reached` was called before.
    """
    recipe, members, steps = program.experiments[0], range(len(program.experiments)), program.steps
    going = list(members)
    start, since, window = 0, 0, None  # the window holds sums since the last point, (M, curves), on the device
    if states is not None:
        start, since = states[0]["step"], states[0]["since"]
        for member, state in enumerate(states):
            program.load(member, state)
        if states[0]["window"] is not None:
            window = torch.stack([state["window"] for state in states]).to(program.device)
    else:
        for member, verdict in enumerate(program.diagnose()):
            if verdict is not None:
                watch.diagnosed(member, verdict)

    def reach(done: int) -> None:
        def state(member: int) -> dict[str, Any]:
            row = None if window is None else window[member].to("cpu", copy=True)
            return program.state(member) | {"step": done, "since": since, "window": row}

        watch.reached(done, state)

    def check(done: int, values: dict[int, dict[str, float]], at: dict[int, dict[str, float]]) -> None:
        for member in list(going):
            try:
                check_finite(values[member], at[member], done, program.experiments[member].pair)
            except NonFiniteLoss as error:
                going.remove(member)
                watch.failed(member, error)

    for step in range(start, steps):
        if program.resting and watch.must_stop():
            reach(step)
            raise KeyboardInterrupt

        # Schedules: functions of progress alone, in [0, 1). Then one update.
        progress = step / steps
        lr = recipe.lr(progress, step=step)
        scheduled = [method.scheduled(progress, step) for method in program.methods]
        values = program.step(lr, scheduled)
        window = values.clone() if window is None else window.add_(values)

        # Curves.
        done = step + 1
        if done % recipe.log_every and done != steps:
            continue
        rows = (window / (done - since)).tolist()
        since, window = done, None
        at = {member: {LR: lr} | scheduled[program.method_of[member]] for member in members}
        means = {member: dict(zip(program.curves, rows[member], strict=True)) for member in going}
        check(done, means, at)
        if going:
            watch.logged(done, {member: means[member] | at[member] for member in going})

        # Evaluation and checkpoint; due at logged steps alone.
        if going and (done % recipe.evaluate_every == 0 or done == steps):
            evaluations = program.evaluate()
            largest = {m: {TARGET_LOGITS: float(np.abs(evaluations[m].seen[TARGET_LOGITS]).max())} for m in going}
            check(done, largest, at)
            if going:
                watch.evaluated(done, {member: evaluations[member] for member in going})
                reach(done)
        if not going:
            return


def check_finite(values: dict[str, float], scheduled: dict[str, float], done: int, pair: str) -> None:
    """Refuse to go on with a value that is infinite or NaN.

    Raises:
        NonFiniteLoss: naming it, the step, alpha and learning rate, and the pair.
    """
    for name, value in values.items():
        if not math.isfinite(value):
            at = ", ".join(f"{key} {number:.4g}" for key, number in scheduled.items())
            raise NonFiniteLoss(f"{name} is {value} at step {done}, {at}, pair {pair}")
