"""Small sweeps for the tests, importable by worker processes, and a pool that trains in this process."""

import dataclasses
import json
import math
import random

from experiments.experiment import Experiment
from experiments.networks.moons import Moons
from experiments.record.files import write_json
from experiments.record.folder import folder_of, is_finished, read_status
from experiments.record.names import (
    HASH,
    KIND,
    POINTS,
    RESULT,
    RUN,
    SOURCE_ACCURACY,
    STATUS,
    TARGET_ACCURACY,
    TRAIN_TIME_S,
)
from experiments.validators import Validator
from experiments.work.bundles import Bundle
from experiments.work.driver import Ended
from experiments.work.run import never, train_runs
from grl.schedules import Constant, InverseDecay
from sweeps.spaces import with_alpha
from sweeps.sweep import Search, Sweep

RECIPE = Experiment(pair="moons", network=Moons(), lr=InverseDecay(lr=0.1), steps=30, evaluate_every=10, log_every=5)


PRETENDED = (SOURCE_ACCURACY, TARGET_ACCURACY, "information_maximisation")


LARGEST = Validator(lambda logits: float(logits.max()), ("target_logits",), "largest_logit")


def suggest_constant(recipe, trial) -> Experiment:
    return with_alpha(recipe, Constant(value=trial.suggest_float("constant.value", 0.1, 3.0, log=True)))


def suggest_two(recipe, trial) -> Experiment:
    """A constant alpha and a learning rate."""
    recipe = dataclasses.replace(recipe, lr=InverseDecay(lr=trial.suggest_float("lr", 0.01, 0.3, log=True)))
    return suggest_constant(recipe, trial)


def suggest_ruin(recipe, trial) -> Experiment:
    """A constant that is harmless in even trials and ruinous in odd ones."""
    value = trial.suggest_float("constant.value", 0.1, 3.0)
    return with_alpha(recipe, Constant(value=1e30 if trial.number % 2 else value))


def small_sweep(*, name="small", recipe=RECIPE, suggest=suggest_constant, **search) -> Sweep:
    return Sweep(name=name, recipe=recipe, suggest=suggest, search=Search(**({"trials": 3, "seeds": 2} | search)))


class Inline:
    """Trains each bundle when it is handed over, and gives it back at the next call."""

    def __init__(self, must_stop=never):
        self.must_stop = must_stop
        self.submitted: list[Bundle] = []
        self._ended: list[Ended] = []

    @property
    def is_free(self) -> bool:
        return not self._ended

    @property
    def is_busy(self) -> bool:
        return bool(self._ended)

    def submit(self, members: Bundle, until: int | None = None) -> None:
        self.submitted.append(members)
        in_use = train_runs(members, must_stop=self.must_stop, until=until)
        self._ended.append(Ended(members, in_use=tuple(in_use)))

    def ended(self, wait_s: float) -> list[Ended]:
        ended, self._ended = self._ended, []
        return ended

    def stop(self) -> None:
        pass


class Pretend(Inline):
    """Writes what a training would have left in its folder, without one: the nearer alpha is to a half, the better."""

    def submit(self, members: Bundle, until: int | None = None) -> None:
        self.submitted.append(members)
        for experiment in members:
            pretend(experiment, until)
        self._ended.append(Ended(members))


def pretend(experiment: Experiment, until: int | None) -> None:
    folder, every = folder_of(experiment.hash), experiment.evaluate_every
    evaluations = [*range(every, until or experiment.steps, every), until or experiment.steps]
    if ((status := read_status(folder)) and status["points"] > len(evaluations)) or is_finished(folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    described = {"hash": experiment.hash, "title": experiment.title, "params": experiment.flat(), "started_ms": 1}
    tags = {KIND: "run", HASH: experiment.hash}
    write_json(folder / RUN, described | {"datasets": [], "tags": tags}, durable=False)
    luck = random.Random(experiment.hash).gauss(0.0, 0.05)
    quality = 2.0 - abs(math.log((experiment.method.alpha(0.5) + 0.001) / 0.5)) + luck
    points = [
        {"step": step, "time_ms": 0, "values": dict.fromkeys(PRETENDED, quality * step / experiment.steps)}
        for step in evaluations
    ]
    (folder / POINTS).write_text("".join(json.dumps(point) + "\n" for point in points))
    if until is None:
        result = {"metrics": {TRAIN_TIME_S: 0.0}, "last": points[-1]["values"], "weights_sha256": experiment.hash}
        write_json(folder / RESULT, result, durable=False)
    state = "RUNNING" if until else "FINISHED"
    status = {"status": state, "points": len(points), "message": "", "time_ms": 0}
    write_json(folder / STATUS, status, durable=False)


class LastFirst(Pretend):
    """Takes a few bundles and gives them back in the reverse order."""

    def __init__(self, most: int):
        super().__init__()
        self._most = most

    @property
    def is_free(self) -> bool:
        return len(self._ended) < self._most

    def ended(self, wait_s: float) -> list[Ended]:
        return [self._ended.pop()] if self._ended else []


def drive(source, pool=None) -> Inline:
    """Work a source off without showing or delivering anything."""
    pool = pool or Inline()
    while source.is_open or pool.is_busy:
        while pool.is_free and (members := source.next()):
            pool.submit(members, source.until(members))
        for ended in pool.ended(0):
            source.told(ended)
    return pool


def changed(sweep: Sweep, **search) -> Sweep:
    return dataclasses.replace(sweep, search=dataclasses.replace(sweep.search, **search))
