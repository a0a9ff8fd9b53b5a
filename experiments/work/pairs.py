"""The data of an experiment: a pair of domains less what is held out, or what a recorded run has made of one."""

import hashlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets import DomainPair, Evaluation, Labelled, Unlabelled, hold_out, load_pair, one_pass, pair_fingerprint
from experiments.errors import BadInput
from experiments.experiment import Experiment, check_reversed
from experiments.identity import digest_foreign_source, origin_of, rebuild
from experiments.networks import Networks
from experiments.record import names
from experiments.record.files import read_json
from experiments.record.folder import folder_of, is_finished, read_status
from experiments.record.store import first_line
from experiments.training.alone import build_for
from experiments.training.evaluation import EVALUATION_BATCH, with_labels
from experiments.training.fitted import run_before

Opened = dict[tuple[str, float], DomainPair]


def open_pair(experiment: Experiment, opened: Opened | None = None) -> DomainPair:
    """The pair that an experiment trains on.

    Args:
        experiment: What it is for.
        opened: Pairs that were opened before, so that runs of one program share their samples; it is added to.

    Raises:
        BadInput: It is made of a run that is not there, not finished, or of another pair.
        DatasetError: A pair that is not there.
    """
    opened = {} if opened is None else opened
    key = experiment.pair, experiment.held_out
    if key not in opened:
        _, kind, run = origin_of(experiment.pair)
        if run:
            opened[key] = _turn_round(experiment, kind, folder_of(run), opened)
        else:
            opened[key] = hold_out(load_pair(experiment.pair), experiment.held_out)
    return opened[key]


def first_weights(experiment: Experiment) -> dict[str, Tensor] | None:
    """The weights of another run that the networks of an experiment begin with; None where they are drawn.

    A reversed run begins with the run that it reverses, and a fitted one with the run that it comes after.

    Raises:
        BadInput: That run is not there, not finished, or stale.
    """
    if before := run_before(experiment):
        if not is_finished(folder_of(before.hash)) or find_change(before):
            raise BadInput(f"method.after needs the run {before.hash} of {before.title}; train that first")
        return _read_weights(folder_of(before.hash))
    _, kind, run = origin_of(experiment.pair)
    return _read_weights(folder_of(run)) if kind == "reversed" else None


def fingerprint_of(pair: str) -> str:
    """Of the data of a pair; of one that is made of a run, also of that run's weights."""
    domains, kind, run = origin_of(pair)
    if not run:
        return _fingerprint_of_domains(domains)
    result = read_json(folder_of(run) / names.RESULT, needs=("weights_sha256",))
    weights = result["weights_sha256"] if result else ""
    return hashlib.sha256(f"{fingerprint_of(domains)} {kind} {weights}".encode()).hexdigest()


def find_change(experiment: Experiment) -> str:
    """What has changed since the run in the experiment's folder was begun, in words; empty if nothing."""
    tags = (read_json(folder_of(experiment.hash) / names.RUN, needs=("tags",)) or {"tags": {}})["tags"]
    if tags.get(names.DATA_FINGERPRINT, "") != fingerprint_of(experiment.pair):
        return f"the data of {experiment.pair} have changed"
    if tags.get(names.FOREIGN_SOURCE, "") != digest_foreign_source(experiment.description):
        return "the source of a module that it names has changed"
    return ""


@cache
def _fingerprint_of_domains(pair: str) -> str:
    # As the data are at the first call in this process.
    return pair_fingerprint(pair) or load_pair(pair).fingerprint


def recorded_experiment(folder: Path) -> Experiment:
    """What the run in `folder` is of, finished or not.

    Raises:
        BadInput: there is no such run, or it is of another version.
    """
    description = read_json(folder / names.RUN, needs=("experiment",))
    if description is None:
        raise BadInput(f"there is no run {folder.name} in {folder.parent}")
    try:
        return rebuild(description["experiment"])
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise BadInput(f"{folder / names.RUN} does not describe an experiment of this version: {error}") from None


def read_experiment(folder: Path) -> Experiment:
    """What the finished run in `folder` has trained.

    Raises:
        BadInput: there is no such run, or it is not finished, or it is of another version.
    """
    experiment, tags = recorded_experiment(folder), (read_json(folder / names.RUN, needs=("tags",)) or {})["tags"]
    if not is_finished(folder):
        status = (read_status(folder) or {"status": "not begun"})["status"]
        raise BadInput(f"run {folder.name} is {status}; only a FINISHED run has a model")
    if fingerprint_of(experiment.pair) != tags[names.DATA_FINGERPRINT]:
        raise BadInput(
            f"run {folder.name} was trained on other data than pair {experiment.pair} has now; prepare those again"
        )
    return experiment


def load_networks(folder: Path, experiment: Experiment, pair: DomainPair) -> Networks:
    """The networks that the finished run of `experiment` in `folder` has kept.

    Raises:
        BadInput: their file cannot be used.
    """
    networks = build_for(experiment, pair)
    try:
        networks.load_state_dict(_read_weights(folder))
    except (RuntimeError, ValueError) as error:  # of shapes
        raise BadInput(f"{folder / names.MODEL} cannot be used ({first_line(error)}); train the run again") from None
    return networks.eval()


def _read_weights(folder: Path) -> dict[str, Any]:
    if not (folder / names.MODEL).exists():
        raise BadInput(
            f"{folder / names.MODEL} is not there: unpack a pack that was not written with --light, or delete {folder} "
            "to train the run again"
        )
    try:
        return torch.load(folder / names.MODEL, map_location="cpu", weights_only=True)
    except Exception as error:  # of zip files and pickles
        raise BadInput(f"{folder / names.MODEL} cannot be used ({first_line(error)}); train the run again") from None


def _turn_round(experiment: Experiment, kind: str, folder: Path, opened: Opened) -> DomainPair:
    # From the target, labelled by the run in `folder`, to the source, whose labels are those that measure.
    name, forward = experiment.pair, read_experiment(folder)
    check_reversed(experiment, forward)
    pair = open_pair(forward, opened)
    networks, mean = load_networks(folder, forward, pair), forward.method.mean_of_inputs(pair)

    @torch.inference_mode()
    def label(split: Unlabelled) -> Labelled:
        batches = one_pass(with_labels(split), EVALUATION_BATCH, mean=mean, crop=forward.augment.crop)
        labels = torch.cat([networks.predict(batch.inputs)[1].argmax(1) for batch in batches])
        return Labelled(name=split.name, inputs=split.inputs, labels=labels, domains=split.domains)

    source, held_out = label(pair.target), pair.evaluation
    if held_out.source_validation is None or held_out.target_validation is None:
        if kind == "reversed":
            raise BadInput(f"reverse validation needs a run with held_out > 0, got run {folder.name} with held_out 0")
        validation = None
    else:
        validation = label(held_out.target_validation)
    measured = held_out.source_validation if kind == "reversed" else None
    return replace(
        pair,
        id=name,
        title=f"{pair.target_name} → {pair.source_name} ({kind})",
        source_name=f"{pair.target_name} as labelled by run {folder.name}",
        target_name=pair.source_name,
        protocol=f"{kind} validation: {pair.target_name} with the labels of run {folder.name}, back to "
        f"{pair.source_name}, accuracy on {'what was held out of it' if measured else 'its training split'}",
        fingerprint=fingerprint_of(name),
        source=source,
        target=Unlabelled(name=pair.source.name, inputs=pair.source.inputs, domains=pair.source.domains),
        evaluation=Evaluation(
            source_test=validation or source,
            target_test=measured or pair.source,
            source_validation=validation,
        ),
        _open_target=lambda: pair.source,
    )
