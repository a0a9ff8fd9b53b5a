"""Runs from experiment to recorded result, in this process: alone, or many as one program."""

import hashlib
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets import DomainPair, by_domain
from experiments.errors import BadInput, NonFiniteLoss, RunInUse, is_ours
from experiments.experiment import Experiment
from experiments.identity import describe, digest_foreign_source, path_of
from experiments.methods.fitted import Fitted
from experiments.networks.base import Networks, Several
from experiments.record import names
from experiments.record.files import claim, read_json, write_atomically
from experiments.record.folder import Recording, add_tags, folder_of, is_finished, write_curves
from experiments.training.alone import Alone
from experiments.training.evaluation import Evaluation
from experiments.training.fitted import FittedProgram
from experiments.training.loop import Program, Watch, train
from experiments.training.machine import AUTOMATIC, Machine, copy_to_cpu
from experiments.training.plane import look_at_plane
from experiments.training.together import Together, can_be_together
from experiments.validators import VALIDATORS, proxy_a_distance, score_all
from experiments.work.bundles import company_of
from experiments.work.changes import keep_changes
from experiments.work.checkpoint import Checkpoint, Clock
from experiments.work.done import is_done, set_aside
from experiments.work.environment import describe_datasets, describe_environment
from experiments.work.health import examine_run
from experiments.work.pairs import Opened, first_weights, open_pair
from grl.doctor import Verdict

CHOOSES = VALIDATORS["source_accuracy"]  # which step's weights are kept, where something was held out for it


def never() -> bool:
    """Never ask a training to stop."""
    return False


def train_runs(
    experiments: Sequence[Experiment],
    machine: Machine = AUTOMATIC,
    must_stop: Callable[[], bool] = never,
    until: int | None = None,
) -> list[Experiment]:
    """Train what is not done, each run from its last checkpoint if it has one, and record the results.

    Runs of one recipe are trained as one program where that pays. A run whose loss is not finite is recorded as failed
    and leaves the others alone.

    Args:
        experiments: What to train.
        machine: How to compute.
        must_stop: Asked before every step; where it says so, checkpoints are written and the training is interrupted.
        until: The step of an evaluation after which it stops as well, with checkpoints, and returns; None for the end.

    Returns:
        Those that another process is training.

    Raises:
        BadInput: What a person can mend, before anything is recorded where that is possible.
        KeyboardInterrupt: Recorded as killed runs.
    """
    in_use: list[Experiment] = []
    with ExitStack() as claims:
        groups: dict[Any, list[tuple[Experiment, dict[str, Any] | None]]] = {}
        for experiment in dict.fromkeys(experiments):
            folder = folder_of(experiment.hash)
            try:
                claims.enter_context(claim(folder))
            except RunInUse:
                in_use.append(experiment)
                continue
            if is_done(experiment):
                continue
            state = Checkpoint(folder).load()
            if until is not None and state and state["step"] >= until:
                continue
            key = (company_of(experiment, machine)[0], state["step"] if state else None)
            groups.setdefault(key, []).append((experiment, state))
        for members in groups.values():
            runs, states = [experiment for experiment, _ in members], [state for _, state in members if state]
            opened: Opened = {}
            pairs = [open_pair(experiment, opened) for experiment in runs]
            program = open_program(runs, pairs, machine)
            for member, experiment in enumerate(runs):
                if weights := first_weights(experiment):
                    program.begin(member, weights)
            for experiment in runs:
                if is_finished(folder_of(experiment.hash)):
                    set_aside(experiment)
                    claims.enter_context(claim(folder_of(experiment.hash)))
            _train(program, pairs, machine, must_stop, states or None, until)
    return in_use


def open_program(runs: Sequence[Experiment], pairs: Sequence[DomainPair], machine: Machine) -> Program:
    """What trains these runs, each on its pair; more than one only where they can be together."""
    if isinstance(runs[0].method, Fitted):
        return FittedProgram(runs, pairs)
    if can_be_together(runs[0], machine):
        return Together(runs, pairs, machine)
    return Alone(runs[0], pairs[0], machine)


def _train(
    program: Program,
    pairs: Sequence[DomainPair],
    machine: Machine,
    must_stop: Callable[[], bool],
    states: Sequence[dict[str, Any]] | None,
    until: int | None,
) -> None:
    recorder = _Recorder(program, must_stop, states, until)
    with recorder.noting_the_end():
        recorder.open(pairs, machine)
        try:
            train(program, recorder, states)
        except KeyboardInterrupt:
            if not recorder.is_far_enough:
                raise
        else:
            recorder.finish(pairs)


class _Recorder(Watch):
    """Writes what happens to the members of a program into their folders."""

    def __init__(
        self,
        program: Program,
        must_stop: Callable[[], bool],
        states: Sequence[dict[str, Any]] | None = None,
        until: int | None = None,
    ):
        self.program, self.runs, self.states = program, program.experiments, states
        self.is_far_enough = False  # it has reached the step where it was to stop
        self._must_stop, self._until = must_stop, until
        self._saved: int | None = None  # the step of the last checkpoint
        self.recordings: list[Recording] = []
        self.checkpoints = [Checkpoint(folder_of(experiment.hash)) for experiment in self.runs]
        self.evaluations: list[list[tuple[int, dict[str, Any]]]] = [
            _unpack_evaluations(state) for state in states or [{}] * len(self.runs)
        ]
        self.scores: list[dict[str, float]] = [{} for _ in self.runs]  # of the last evaluation
        # Where something is held out, the weights of the best step so far and their score; else those of the end.
        self.kept: list[dict[str, Any]] = [state["kept"] for state in states] if states else [{} for _ in self.runs]
        self.begun = [copy_to_cpu(program.member(member).heads.state_dict()) for member in range(len(self.runs))]
        self.going = list(range(len(self.runs)))
        self.clock = Clock()

    def open(self, pairs: Sequence[DomainPair], machine: Machine) -> None:
        """Describe every run in its folder."""
        environment = describe_environment()
        for member, (experiment, pair) in enumerate(zip(self.runs, pairs, strict=True)):
            folder = folder_of(experiment.hash)
            tags = {
                names.KIND: "run",
                names.HASH: experiment.hash,
                names.PAIR_TITLE: pair.title,
                names.PROTOCOL: pair.protocol,
                names.DATA_FINGERPRINT: pair.fingerprint,
                names.PROGRAM: self.program.name,
                names.HARDWARE: f"{environment[names.HARDWARE]}, {machine.describe()}",
            }
            if source := digest_foreign_source(experiment.description):
                tags[names.FOREIGN_SOURCE] = source
            description = {
                "hash": experiment.hash,
                "title": experiment.title,
                "experiment": describe(experiment, name=path_of),
                "params": experiment.flat(),
                "datasets": describe_datasets(pair, experiment.method.reads),
                "tags": environment | tags,
            }
            points = self.states[member]["points"] if self.states else None
            self.recordings.append(Recording(folder, description, points))
            if points is None:
                keep_changes(folder)

    def must_stop(self) -> bool:
        return self.is_far_enough or self._must_stop()

    def diagnosed(self, member: int, verdict: Verdict) -> None:
        tags = {names.VERDICT: verdict.status, names.VERDICT_SENTENCE: verdict.sentence}
        add_tags(self.recordings[member].folder, tags)

    def logged(self, step: int, values: dict[int, dict[str, float]]) -> None:
        for member, of_member in values.items():
            self.recordings[member].log(step, of_member)
            self.recordings[member].show(step, of_member)

    def evaluated(self, step: int, evaluations: dict[int, Evaluation]) -> None:
        for member, evaluation in evaluations.items():
            self.scores[member] = evaluation.scores | score_all(evaluation.seen)
            self.recordings[member].log(step, self.scores[member])
            self.evaluations[member].append((step, evaluation.seen))
            self._keep_best(member)
        self.is_far_enough = self._until is not None and step >= self._until

    def _keep_best(self, member: int) -> None:
        # Of equal ones the later, as `validators.select` has it.
        score = self.scores[member].get(CHOOSES.curve)
        if self.runs[member].held_out and score is not None and score >= self.kept[member].get("score", score):
            self.kept[member] = {"score": score, "networks": copy_to_cpu(self.program.member(member).state_dict())}

    def reached(self, step: int, state: Callable[[int], dict[str, Any]]) -> None:
        if step == self._saved or not (self.clock.is_time_to_save() or self.must_stop()):
            return
        began_s = time.monotonic()
        for member in self.going:
            points = self.recordings[member].keep()
            self.checkpoints[member].save(
                state(member)
                | _pack_evaluations(self.evaluations[member])
                | {"points": points, "train_time_s": self._spent_s(member), "scores": self.scores[member]}
                | {"kept": self.kept[member]}
            )
            self.recordings[member].mark("RUNNING")
        self.clock.saved(began_s)
        self._saved = step

    def failed(self, member: int, error: NonFiniteLoss) -> None:
        self.going.remove(member)
        path = self.checkpoints[member].path
        last_good = f"the last good checkpoint is {path}" if path.exists() else "before the first checkpoint"
        self.recordings[member].fail(f"{error}; {last_good}")

    def _spent_s(self, member: int) -> float:
        earlier_s = self.states[member]["train_time_s"] if self.states else 0.0
        return earlier_s + self.clock.passed_s() / len(self.runs)

    def finish(self, pairs: Sequence[DomainPair]) -> None:
        """Make every run done that has not failed."""
        spent_s = {member: self._spent_s(member) for member in self.going}
        for member in list(self.going):
            scores = self.scores[member] or (self.states[member]["scores"] if self.states else {})
            adversary = self.program.measure_adversary(member, self.begun[member])
            self._finish_one(member, pairs[member], scores, {names.TRAIN_TIME_S: spent_s[member]} | adversary)
            self.checkpoints[member].drop()

    def _finish_one(self, member: int, pair: DomainPair, scores: dict[str, float], measured: dict[str, float]) -> None:
        recording, networks = self.recordings[member], self.program.member(member)
        networks.load_state_dict(self.kept[member].get("networks", networks.state_dict()))
        weights, arrays, last = io.BytesIO(), io.BytesIO(), self.evaluations[member][-1][1]
        torch.save(copy_to_cpu(networks.state_dict()), weights)
        write_atomically(recording.folder / names.MODEL, weights.getbuffer())
        seen = _stack_evaluations(self.evaluations[member]) | look_at_plane(self.runs[member], networks, pair)
        np.savez(arrays, **seen)  # pyright: ignore[reportArgumentType]
        write_atomically(recording.folder / names.EVALUATIONS, arrays.getbuffer())
        write_curves(recording.folder, recording.points())
        metrics = {
            names.PROXY_A_DISTANCE: proxy_a_distance(last[names.FEATURES], last[names.DOMAIN_LABELS]),
            names.STEPS_PER_S: self.program.steps / measured[names.TRAIN_TIME_S],
        } | measured
        tags = (read_json(recording.folder / names.RUN, needs=("tags",)) or {"tags": {}})["tags"]
        curves = {name: value for point in recording.points() for name, value in point["values"].items()}
        health = examine_run(
            curves | scores | metrics,
            last,
            shares=shares_told_apart(networks, pair),
            method=self.runs[member].method,
            verdict=(tags[names.VERDICT], tags[names.VERDICT_SENTENCE]) if names.VERDICT in tags else None,
        )
        recording.finish(
            {
                "metrics": metrics,
                "last": scores,
                "weights_sha256": digest(networks.state_dict()),
                "health": health._asdict(),
            }
        )

    @contextmanager
    def noting_the_end(self) -> Iterator[None]:
        """Note what stops the block with each run that was running."""
        try:
            yield
        except BaseException as error:
            # What a person can mend leaves a run to go on with, as an interruption does.
            mendable = isinstance(error, KeyboardInterrupt) or is_ours(error)
            status = "KILLED" if mendable else "FAILED"
            message = (str(error) or "interrupted") if mendable else f"{type(error).__name__}: {error}"
            with suppress(BadInput):  # a full disk has been said once
                for recording in self.recordings:
                    if recording.is_running():
                        recording.mark(status, message)
            raise


def shares_told_apart(networks: Networks, pair: DomainPair) -> tuple[float, ...]:
    """The shares in a batch of what an adversary tells apart: each domain, or all sources from all targets."""
    if any(isinstance(head, Several) for head in networks.heads.values()):
        return (1 / pair.domains,) * pair.domains
    sources = len(by_domain(pair.source)) / pair.domains
    return sources, 1 - sources


def _stack_evaluations(evaluations: list[tuple[int, dict[str, Any]]]) -> dict[str, np.ndarray]:
    last = evaluations[-1][1]
    return {names.STEPS: np.array([step for step, _ in evaluations])} | {
        name: np.stack([seen[name] for _, seen in evaluations]) if name in names.PER_STEP else last[name]
        for name in last
        if all(name in seen for _, seen in evaluations)  # a run that an earlier version began kept fewer
    }


def _pack_evaluations(evaluations: list[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
    # As tensors, which a checkpoint can hold without pickle.
    if not evaluations:
        return {"evaluations": {}}
    return {"evaluations": {name: torch.from_numpy(v) for name, v in _stack_evaluations(evaluations).items()}}


def _unpack_evaluations(state: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    arrays = {name: value.numpy() for name, value in state.get("evaluations", {}).items()}
    steps = arrays.pop(names.STEPS, [])
    return [
        (int(step), {name: value[place] if name in names.PER_STEP else value for name, value in arrays.items()})
        for place, step in enumerate(steps)
    ]


def digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over all weights and buffers of a state dict: equal digests mean bit-identical networks."""
    sha = hashlib.sha256()
    for name, value in weights.items():
        sha.update(name.encode())
        sha.update(value.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()
