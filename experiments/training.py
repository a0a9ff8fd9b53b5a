"""The training loop: plain PyTorch, one function, read from top to bottom."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from datasets import Batches, DomainPair
from experiments.distributed import agree, average, gather, place, share_batch_statistics
from experiments.errors import BadInput, NonFiniteLoss
from experiments.evaluation import draw, evaluate
from experiments.experiment import Experiment
from experiments.machine import AUTOMATIC, Machine, copy_to_cpu, random_states, restore_random
from experiments.methods import METHODS
from experiments.networks import Networks, build_networks, check_shape
from experiments.randomness import derive_seed
from experiments.record import ALPHA, LR
from grl.doctor import Verdict, examine
from grl.schedules import Schedule

Log = Callable[[int, dict[str, float]], None]
EXAMINED_BATCH = 64  # inputs per domain that the doctor looks at


@dataclass(frozen=True)
class Trained:
    """What training leaves behind, on its device: the networks, in training mode, and the mean they expect to lose."""

    networks: Networks
    mean: Tensor


def train(
    experiment: Experiment,
    pair: DomainPair,
    *,
    log: Log = lambda step, values: None,
    save: Callable[[dict[str, Any]], None] = lambda state: None,
    diagnose: Callable[[Verdict], None] = lambda verdict: None,
    state: dict[str, Any] | None = None,
    machine: Machine = AUTOMATIC,
) -> Trained:
    """Train `experiment` on `pair`; in a group of processes (`distributed.joined`) each takes its part of every batch.

    Args:
        log: Receives (steps done, values): the means of the training curves every `log_every` steps, the evaluation
            every `evaluate_every` steps and at the end.
        save: Receives the whole state after each evaluation but the last.
        diagnose: Receives the doctor's verdict on the untrained networks, if the method has an adversary.
        state: A state that `save` received, to go on from there; the end is then bit-identical to an uninterrupted run.
        machine: How to compute. Of several processes, the first alone evaluates and calls `log`, `save` and `diagnose`.

    Raises:
        BadInput: The network does not take the pair's inputs, several processes cannot divide the batch or share its
            BatchNorm, or `state` is of another number of processes.
        NonFiniteLoss: A loss is infinite or NaN; noticed when the curves are logged, or by an evaluation.
    """
    method = METHODS[experiment.method]
    check_shape(experiment.network, pair)
    rank, processes = place()
    device = machine.prepare()
    compute_losses = machine.compiled(method.losses)
    mixed_precision = torch.autocast(device.type, torch.bfloat16, enabled=experiment.precision == "bfloat16")

    # Networks and optimiser. One seed per run, one stream per purpose.
    networks = (
        build_networks(experiment.network, classes=len(pair.class_names), seed=experiment.seed).train().to(device)
    )
    share_batch_statistics(networks, device)
    optimiser = torch.optim.SGD(
        networks.parameters(),
        lr=experiment.lr.lr,
        momentum=experiment.optimiser.momentum,
        weight_decay=experiment.optimiser.weight_decay,
        fused=True,
    )
    torch.manual_seed(derive_seed(experiment.seed, f"dropout/{rank}" if rank else "dropout"))

    # Data: the splits that the method may read. Mean subtraction: the mean of what is trained on, so that source_only
    # owes nothing to the target here either.
    splits = method.open_splits(pair)
    mean = torch.stack([split.mean() for split in splits.values()]).mean(0).to(device)
    half = experiment.batch_size // 2
    if half % processes:
        raise BadInput(
            f"batch_size must be a multiple of {2 * processes} (two domains, {processes} processes), "
            f"got {experiment.batch_size}"
        )
    batches: dict[str, Any] = {
        domain: Batches(
            split,
            half,
            seed=derive_seed(experiment.seed, f"order/{domain}"),
            mean=mean,
            device=device,
            shard=(rank, processes),
        )
        for domain, split in splits.items()
    }

    # Where an interrupted run stopped, or a look at the adversary before the first step.
    start = 0
    if state is not None:
        if len(state["random"]) != processes:
            raise BadInput(
                f"processes must be {len(state['random'])}, as when the checkpoint was written, got {processes}: use "
                f"torchrun --nproc-per-node {len(state['random'])}, or delete the checkpoint to start anew"
            )
        start = state["step"]
        networks.load_state_dict(state["networks"])
        optimiser.load_state_dict(state["optimiser"])
        restore_random(state["random"][rank])
        for domain, stream in batches.items():
            stream.load_state_dict(state["batches"][domain])
    elif experiment.alpha is not None:
        verdict = examine_untrained(networks, pair, mean, experiment.alpha, experiment.steps)
        if rank == 0:
            diagnose(verdict)

    window = torch.zeros(len(method.curves), device=device)  # sums since the last point, kept on the device
    window_start = start
    for step in range(start, experiment.steps):
        # Schedules: functions of progress alone, in [0, 1).
        progress = step / experiment.steps
        scheduled = {LR: experiment.lr(progress, step=step)}
        for group in optimiser.param_groups:
            group["lr"] = scheduled[LR]
        if experiment.alpha is not None:
            scheduled[ALPHA] = experiment.alpha(progress, step=step)

        # One update.
        drawn = [next(stream) for stream in batches.values()]
        adversary: dict[str, Any] = {}
        if method.adversarial:
            alpha = scheduled[ALPHA]
            if machine.compile != "no":
                alpha = torch.full((), alpha, device=device)  # a float would be compiled into the graph
            adversary = {"alpha": alpha, "batch_norm": experiment.batch_norm}
        with mixed_precision:
            losses = compute_losses(networks, *drawn, **adversary)
        optimiser.zero_grad()
        losses.objective(experiment.domain_weight).backward()
        # The gradient of the mean over all processes. DistributedDataParallel would give the same, but it wants one
        # module around the objective, the adversary of source_only used, and a compiled graph cut into its buckets.
        average(parameter.grad for parameter in networks.parameters() if parameter.grad is not None)
        optimiser.step()

        # Curves.
        window += losses.values()
        done = step + 1
        if done % experiment.log_every == 0 or done == experiment.steps:
            average([window])
            means = dict(zip(method.curves, (window / (done - window_start)).tolist(), strict=True))
            window.zero_()
            window_start = done
            check_finite(means, scheduled, done, experiment.pair)
            if rank == 0:
                log(done, means | scheduled)

        # Evaluation and checkpoint.
        if done % experiment.evaluate_every == 0 or done == experiment.steps:
            random = gather(random_states(device))

            def look(done: int = done, scheduled: dict[str, float] = scheduled) -> dict[str, float]:
                values = evaluate(networks, pair, mean)
                check_finite(values, scheduled, done, experiment.pair)
                return values

            values = agree(look)  # the first process evaluates
            if rank == 0:
                log(done, values)
                if done < experiment.steps:
                    whole = {
                        "step": done,
                        "networks": networks.state_dict(),
                        "optimiser": optimiser.state_dict(),
                        "random": random,
                        "batches": {domain: stream.state_dict() for domain, stream in batches.items()},
                    }
                    save(copy_to_cpu(whole))
    return Trained(networks, mean)


def examine_untrained(networks: Networks, pair: DomainPair, mean: Tensor, alpha: Schedule, steps: int) -> Verdict:
    """The doctor's verdict on how these networks will be trained, from one batch of each domain."""
    source, target = (draw(split, EXAMINED_BATCH, mean).inputs for split in (pair.source, pair.target))
    return examine(
        networks.feature_extractor,
        networks.domain_classifier,
        source,
        target,
        alpha=alpha(0.0, step=0),
        schedule=alpha,
        steps=steps,
    )


def check_finite(means: dict[str, float], scheduled: dict[str, float], done: int, pair: str) -> None:
    """Refuse to go on with a loss or a score that is infinite or NaN.

    Raises:
        NonFiniteLoss: naming it, the step, alpha and learning rate, and the pair.
    """
    for name, value in means.items():
        if not math.isfinite(value):
            at = ", ".join(f"{key} {number:.4g}" for key, number in scheduled.items())
            raise NonFiniteLoss(f"{name} is {value} at step {done}, {at}, pair {pair}")
