"""Many runs as one program: seeds and alphas of one recipe, their networks stacked along a leading dimension.

A step of a small network is mostly the cost of starting its operations. Here each operation is started once for all
members: `vmap` turns the method's own loss into one over stacked weights, and a trace of its gradient is run step after
step. Each member gets the numbers of the plain loop up to rounding, and those to the bit whatever its company (where a
batch is smaller than a register of 16 numbers, up to rounding too).
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from datasets import Batch, DomainPair, LabelledBatch, StackedBatches, one_pass
from experiments.errors import NonFiniteLoss
from experiments.evaluation import EVALUATION_BATCH, UNLABELLED_SAMPLE, draw, information_maximisation
from experiments.experiment import Experiment
from experiments.methods import METHODS
from experiments.networks import Networks, build_networks, check_shape
from experiments.randomness import derive_seed
from experiments.record import ALPHA, INFORMATION_MAXIMISATION, LR, SOURCE_ACCURACY, TARGET_ACCURACY
from experiments.training import Trained, check_finite, examine_untrained
from grl.doctor import Verdict

# float32 numbers in the widest vector register. What is left over at the end of a tensor is computed by other
# instructions, which round otherwise: tensors that end on a whole register keep members independent of their number.
LANES = 16


class Stack:
    """The networks of all members: every weight has a leading dimension M.

    Attributes:
        tables: name of a weight -> the weights of all members, flat, filled up to whole registers.
        weights: the same as views `(M, ...)`.
    """

    def __init__(self, name: str, classes: int, seeds: Sequence[int]):
        self._build = partial(build_networks, name, classes=classes)
        alone = {seed: self._build(seed=seed) for seed in dict.fromkeys(seeds)}
        self._pattern = alone[seeds[0]]  # its modules are called with the weights of others
        self._shapes = {name: (len(seeds), *weight.shape) for name, weight in self._pattern.named_parameters()}
        self.tables = {
            name: fill_up(torch.stack([alone[seed].get_parameter(name).detach() for seed in seeds]))
            for name in self._shapes
        }
        self.weights = self.by_member(self.tables)

    def by_member(self, tables: dict[str, Tensor]) -> dict[str, Tensor]:
        """Views `(M, ...)` of flat tables of weights, or of what belongs to them."""
        return {name: tables[name][: math.prod(shape)].view(shape) for name, shape in self._shapes.items()}

    def call(self, function: Callable[..., Any], weights: dict[str, Tensor], *arguments: Any) -> Any:
        """Return `function(networks, *arguments)` of the networks with the weights of one member."""
        weights = {f"networks.{name}": value for name, value in weights.items()}
        return functional_call(_Call(self._pattern, function), weights, arguments)

    def member(self, index: int) -> Networks:
        """Networks of their own with one member's weights, in training mode."""
        networks = self._build(seed=0)
        networks.load_state_dict({name: value[index] for name, value in self.weights.items()})
        return networks.train()


def fill_up(values: Tensor) -> Tensor:
    """`values` flat, with zeros up to a whole number of registers."""
    rest = -values.numel() % LANES
    return nn.functional.pad(values.reshape(-1), (0, rest)) if rest else values.reshape(-1)


class _Call(nn.Module):
    """A function of networks as a module, which is what `functional_call` can call."""

    def __init__(self, networks: Networks, function: Callable[..., Any]):
        super().__init__()
        self.networks, self.function = networks, function

    def forward(self, *arguments: Any) -> Any:
        return self.function(self.networks, *arguments)


def train_together(
    experiments: Sequence[Experiment],
    pair: DomainPair,
    *,
    log: Callable[[int, list[dict[str, float]]], None] = lambda step, values: None,
    save: Callable[[dict[str, Any]], None] = lambda state: None,
    diagnose: Callable[[int, Verdict], None] = lambda member, verdict: None,
    fail: Callable[[int, NonFiniteLoss], None] = lambda member, error: None,
    state: dict[str, Any] | None = None,
) -> list[Trained]:
    """Train experiments that differ in alpha, seed and selection alone; `train` for many.

    Args:
        log: Receives (steps done, the values of each member), as that of `train`.
        save: Receives the whole state after each evaluation, the last one too.
        diagnose: Receives the doctor's verdict on each member.
        fail: Receives the members whose loss is infinite or NaN; the others are not touched by them. When all have
            failed, training ends.
        state: A state that `save` received when these members were among those trained, to go on from there.
    """
    count = len(experiments)
    if count == 1:  # a batch of one matrix is multiplied by another routine, which rounds otherwise
        experiments = [experiments[0]] * 2
    recipe, seeds = experiments[0], [experiment.seed for experiment in experiments]
    method = METHODS[recipe.method]
    check_shape(recipe.network, pair)
    stack = Stack(recipe.network, len(pair.class_names), seeds)
    optimiser = torch.optim.SGD(
        stack.tables.values(),
        lr=recipe.lr.lr,
        momentum=recipe.optimiser.momentum,
        weight_decay=recipe.optimiser.weight_decay,
        fused=True,
    )

    splits = method.open_splits(pair)
    mean = torch.stack([split.mean() for split in splits.values()]).mean(0)
    batches = {
        domain: StackedBatches(
            split,
            recipe.batch_size // 2,
            seeds=[derive_seed(seed, f"order/{domain}") for seed in seeds],
            mean=mean,
        )
        for domain, split in splits.items()
    }

    alphas_of = [experiment.alpha for experiment in experiments if experiment.alpha is not None]  # of all, or of none
    start = 0
    if state is not None:
        start, state = state["step"], choose_members(state, [experiment.hash for experiment in experiments])
        for name, table in stack.tables.items():
            table.copy_(fill_up(state["weights"][name]))
            if state["velocities"]:
                optimiser.state[table] = {"momentum_buffer": fill_up(state["velocities"][name])}
        for domain, stream in batches.items():
            stream.load_state_dict(state["batches"][domain])
    else:
        for member, alpha in enumerate(alphas_of[:count]):
            diagnose(member, examine_untrained(stack.member(member), pair, mean, alpha, recipe.steps))

    # Schedules that several members share are asked once.
    schedules = list(dict.fromkeys(alphas_of))
    schedule_of = torch.tensor([schedules.index(alpha) for alpha in alphas_of])
    window, window_start = torch.zeros(len(experiments), len(method.curves)), start
    alphas = torch.zeros(len(experiments))
    differentiate = _trace_once(_gradients_of(recipe, stack))
    failed: set[int] = set()

    def check(done: int, points: list[dict[str, float]], scheduled: list[dict[str, float]]) -> None:
        for member in set(range(count)) - failed:
            try:
                check_finite(points[member], scheduled[member], done, recipe.pair)
            except NonFiniteLoss as error:
                failed.add(member)
                fail(member, error)

    for step in range(start, recipe.steps):
        progress = step / recipe.steps
        for group in optimiser.param_groups:
            group["lr"] = recipe.lr(progress, step=step)
        if schedules:
            values = torch.tensor([schedule(progress, step=step) for schedule in schedules])
            alphas = values.index_select(0, schedule_of)

        drawn = [_tensors(next(stream)) for stream in batches.values()]
        slopes, values = differentiate(stack.weights, drawn, alphas)
        for name, table in stack.tables.items():
            table.grad = slopes[name]
        optimiser.step()
        window += values

        done = step + 1
        if done % recipe.log_every and done != recipe.steps:
            continue
        means = (window / (done - window_start)).tolist()
        window.zero_()
        window_start = done
        scheduled = [{LR: recipe.lr(progress, step=step)} for _ in range(count)]
        for member, alpha in enumerate(alphas_of[:count]):
            scheduled[member][ALPHA] = alpha(progress, step=step)
        points = [dict(zip(method.curves, of_member, strict=True)) for of_member in means[:count]]
        check(done, points, scheduled)
        if len(failed) == count:
            break
        log(done, [point | at for point, at in zip(points, scheduled, strict=True)])

        # An evaluation is due at logged steps alone.
        if done % recipe.evaluate_every and done != recipe.steps:
            continue
        points = evaluate_together(stack, pair, mean)[:count]
        check(done, points, scheduled)
        if len(failed) == count:
            break
        log(done, points)
        momenta = {name: optimiser.state[table].get("momentum_buffer") for name, table in stack.tables.items()}
        save(
            {
                "step": done,
                "members": [experiment.hash for experiment in experiments],
                "weights": stack.weights,
                "velocities": stack.by_member(momenta) if recipe.optimiser.momentum else {},
                "batches": {domain: stream.state_dict() for domain, stream in batches.items()},
            }
        )
    return [Trained(stack.member(member), mean) for member in range(count)]


def choose_members(state: dict[str, Any], hashes: Sequence[str]) -> dict[str, Any]:
    """The part of a saved state that belongs to the runs with these hashes, in their order."""
    rows = torch.tensor([state["members"].index(each) for each in hashes])
    return state | {
        "members": list(hashes),
        "weights": {name: value[rows] for name, value in state["weights"].items()},
        "velocities": {name: value[rows] for name, value in state["velocities"].items()},
    }


def _tensors(batch: Batch) -> tuple[Tensor, ...]:
    return (batch.inputs, batch.labels) if isinstance(batch, LabelledBatch) else (batch.inputs,)


def _gradients_of(recipe: Experiment, stack: Stack) -> Callable[..., Any]:
    """A function of stacked weights, batches and alphas to gradients, flat as the tables, and values, `(M, curves)`."""
    method = METHODS[recipe.method]

    def objective(networks: Networks, tensors: list[tuple[Tensor, ...]], alpha: Tensor) -> tuple[Tensor, Tensor]:
        drawn = [LabelledBatch(*parts) if len(parts) == 2 else Batch(*parts) for parts in tensors]
        adversary = {"alpha": alpha, "batch_norm": recipe.batch_norm} if method.adversarial else {}
        losses = method.losses(networks, *drawn, **adversary)
        return losses.objective(recipe.domain_weight), losses.values()

    differentiate = vmap(grad_and_value(partial(stack.call, objective), has_aux=True))

    def gradients(
        weights: dict[str, Tensor],  # each (M, ...)
        drawn: list[tuple[Tensor, ...]],  # each (M, B, ...)
        alphas: Tensor,  # (M,)
    ) -> tuple[dict[str, Tensor], Tensor]:
        slopes, (_, values) = differentiate(weights, drawn, alphas)
        return {name: fill_up(slope) for name, slope in slopes.items()}, values

    return gradients


def _trace_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as the list of its tensor operations, taken down at the first call; shapes must stay as they are.

    What autograd and vmap cost at each call is gone, and so are the operations that change nothing.
    """
    traced: Callable[..., Any] | None = None

    def call(*arguments: Any) -> Any:
        nonlocal traced
        if traced is None:
            traced = torch.no_grad()(_drop_idle(make_fx(function, tracing_mode="fake")(*arguments)))
        return traced(*arguments)

    return call


def _drop_idle(traced: fx.GraphModule) -> fx.GraphModule:
    aten = torch.ops.aten
    reshaping = (aten.expand.default, aten.view.default, aten._unsafe_view.default, aten._to_copy.default)
    for node in list(traced.graph.nodes):
        before = node.args[0] if node.args else None
        if isinstance(before, fx.Node) and (
            node.target in reshaping or (node.target is aten.mul.Scalar and node.args[1] == 1)
        ):
            then, now = before.meta["val"], node.meta["val"]
            if (then.shape, then.dtype) == (now.shape, now.dtype):
                node.replace_all_uses_with(before)
                traced.graph.erase_node(node)
    traced.graph.eliminate_dead_code()
    traced.recompile()
    return traced


@torch.inference_mode()
def evaluate_together(stack: Stack, pair: DomainPair, mean: Tensor) -> list[dict[str, float]]:
    """`evaluate` of every member."""

    def predict(inputs: Tensor) -> Tensor:  # (N, ...) -> (M, N, C)
        return vmap(lambda weights: stack.call(Networks.predict, weights, inputs))(stack.weights)

    members = len(next(iter(stack.weights.values())))
    accuracies = {}
    for name, split in (
        (SOURCE_ACCURACY, pair.evaluation.source_test),
        (TARGET_ACCURACY, pair.evaluation.target_test),
    ):
        right = torch.zeros(members, dtype=torch.int64)
        for batch in one_pass(split, EVALUATION_BATCH, mean=mean):
            right += (predict(batch.inputs).argmax(2) == batch.labels).sum(1)
        accuracies[name] = [count / len(split) for count in right.tolist()]
    unlabelled = draw(pair.target, UNLABELLED_SAMPLE, mean).inputs
    label_logits = torch.cat([predict(part) for part in unlabelled.split(EVALUATION_BATCH)], 1)
    return [
        {name: values[member] for name, values in accuracies.items()}
        | {INFORMATION_MAXIMISATION: information_maximisation(label_logits[member])}
        for member in range(members)
    ]
