"""Many runs as one program: seeds, schedules and pairs of one recipe, their networks stacked along a new dimension.

A step of a small network is mostly the cost of starting its operations. Here each operation is started once for all
members: `vmap` turns the method's own loss into one over stacked weights, and a trace of its gradient is run step after
step. Each member gets the numbers of the plain loop up to rounding, and those to the bit whatever its company (where a
batch is smaller than a register of 16 numbers, up to rounding too).
"""

import dataclasses
import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from datasets import Augment, DomainPair, StackedBatches, outline_of
from experiments.experiment import Experiment
from experiments.identity import describe, origin_of
from experiments.methods import Method, open_splits
from experiments.networks import Network, Networks, build_networks
from experiments.randomness import derive_seed
from experiments.training.adversary import measure_adversary
from experiments.training.alone import sample_shape
from experiments.training.blocks import Blocks, name_stream, number, steps_of_block
from experiments.training.diagnosis import examine_method
from experiments.training.evaluation import Evaluation, Samples, Taken, evaluate
from experiments.training.machine import AUTOMATIC, Machine, copy_to_cpu
from experiments.training.replay import Drawn, Replayed, batches_of, tensors_of
from grl.doctor import Verdict

# float32 numbers in the widest vector register. What is left over at the end of a tensor is computed by other
# instructions, which round otherwise: tensors that end on a whole register keep members independent of their number.
LANES = 16


def can_be_together(experiment: Experiment, machine: Machine) -> bool:
    """Whether a run is computed stacked, even where it is the only one: the two ways round differently."""
    return (
        machine.stacks
        and experiment.network.together > 1
        and experiment.precision == "float32"
        and experiment.augment == Augment()
        and "+" not in experiment.pair
        and not experiment.balanced
        and experiment.optimiser.head_rate == 1
        and experiment.method.together
        and not _has_masks_or_averages(experiment.method, experiment.network)
    )


@functools.lru_cache(maxsize=10_000)
def _has_masks_or_averages(method: Method, network: Network) -> bool:
    # Whether a head has Dropout, whose masks, or BatchNorm, whose averages are not stacked.
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        heads = [build() for build in method.heads(network, 8, 2).values()]
    return any(isinstance(layer, (_BatchNorm, _DropoutNd)) for head in heads for layer in head.modules())


def group_of(experiment: Experiment) -> str:
    """Equal for runs that one program can train.

    They differ in seed, in schedules of the method, and in pairs whose samples have one shape and as many classes.
    """
    pair, kind, _ = origin_of(experiment.pair)
    described = dict(experiment.description, seed=None, pair=(outline_of(pair), kind))
    described["method"] = dict(described["method"], **dict.fromkeys(experiment.method.schedules))
    return json.dumps(described, sort_keys=True)


class Stack:
    """The networks of all members: every weight has a leading dimension M.

    Attributes:
        tables: name of a weight -> the weights of all members, flat, filled up to whole registers.
        weights: the same as views `(M, ...)`.
        buffers: name of a buffer -> those of all members, `(M, ...)`.
        last_layer: as of `Networks`.
        build: the networks that a seed begins with.
    """

    def __init__(self, build: Callable[[int], Networks], seeds: Sequence[int]):
        self.build = build
        alone = {seed: build(seed) for seed in dict.fromkeys(seeds)}
        self._pattern = alone[seeds[0]]  # its modules are called with the weights of others
        self.last_layer = self._pattern.last_layer
        self._shapes = {name: (len(seeds), *weight.shape) for name, weight in self._pattern.named_parameters()}
        self.tables = {
            name: fill_up(torch.stack([alone[seed].get_parameter(name).detach() for seed in seeds]))
            for name in self._shapes
        }
        self.weights = self.by_member(self.tables)
        self.buffers = {
            name: torch.stack([alone[seed].get_buffer(name) for seed in seeds])
            for name, _ in self._pattern.named_buffers()
        }

    def by_member(self, tables: dict[str, Tensor]) -> dict[str, Tensor]:
        """Views `(M, ...)` of flat tables of weights, or of what belongs to them."""
        return {name: table[: math.prod(self._shapes[name])].view(self._shapes[name]) for name, table in tables.items()}

    def call(self, function: Callable[..., Any], weights: dict[str, Tensor], *arguments: Any) -> Any:
        """Return `function(networks, *arguments)` of the networks with the weights and buffers of one member."""
        weights = {f"networks.{name}": value for name, value in weights.items()}
        return functional_call(_Call(self._pattern, function), weights, arguments)

    def member(self, index: int) -> Networks:
        """Networks of their own with one member's weights, in training mode."""
        networks = self.build(0)
        networks.load_state_dict({name: value[index] for name, value in (self.weights | self.buffers).items()})
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


class Together:
    """The program of runs that `group_of` calls equal; on the CPU, or on CUDA as one graph replayed step after step."""

    name = "together"

    def __init__(
        self,
        experiments: Sequence[Experiment],
        pair: DomainPair | Sequence[DomainPair],
        machine: Machine = AUTOMATIC,
    ):
        """Stack the members.

        Args:
            experiments: One a member.
            pair: For all, or one a member.
            machine: How to compute.
        """
        self.device = machine.prepare()
        recipe = experiments[0]
        self.experiments = list(experiments)
        self.methods: list[Method] = list(dict.fromkeys(each.method for each in experiments))
        self.method_of = [self.methods.index(each.method) for each in experiments]
        self.curves: list[str] = []
        self.steps = recipe.steps
        # A batch of one matrix is multiplied by another routine, which rounds otherwise: a single run keeps itself
        # company.
        rows = list(range(len(experiments))) if len(experiments) > 1 else [0, 0]
        self._seeds = [experiments[row].seed for row in rows]
        self._method_row = torch.tensor([self.method_of[row] for row in rows])
        self._pairs = [pair] * len(rows) if isinstance(pair, DomainPair) else [pair[row] for row in rows]
        first = self._pairs[0]

        def build(seed: int) -> Networks:
            return build_networks(
                recipe.network,
                recipe.method.heads,
                shape=sample_shape(first, recipe.augment),
                classes=len(first.class_names),
                seed=seed,
            ).to(self.device)

        self._stack = Stack(build, self._seeds)
        self._optimiser = recipe.optimiser.build(self._stack.tables.values(), recipe.lr(0.0, step=0))
        distinct = {id(each): each for each in self._pairs}
        reads = recipe.method.reads
        opened = {key: open_splits(reads, each) for key, each in distinct.items()}
        self._means = {key: recipe.method.mean_of_inputs(each).to(self.device) for key, each in distinct.items()}
        on_cpu = self.device.type == "cpu"
        self._block = steps_of_block(recipe, math.prod(first.shape), len(opened[id(first)])) if on_cpu else 1
        members = [
            (opened[id(pair)], self._means[id(pair)], seed) for pair, seed in zip(self._pairs, self._seeds, strict=True)
        ]
        # In blocks, what several members see is drawn once.
        keys = [name_stream(*each) for each in members] if self._block > 1 else list(range(len(members)))
        streams = dict(zip(keys, members, strict=True))
        places = {key: place for place, key in enumerate(streams)}
        self._stream_of = [places[key] for key in keys]
        self._batches = {
            domain: StackedBatches(
                [number(splits[domain]) if self._block > 1 else splits[domain] for splits, _, _ in streams.values()],
                recipe.batch_size // 2,
                seeds=[derive_seed(seed, f"order/{domain}") for _, _, seed in streams.values()],
                mean=[mean for _, mean, _ in streams.values()],
                device=self.device,
            )
            for domain in opened[id(first)]
        }
        self._first = recipe.network.first_layer
        self._blocks = None
        if self._block > 1:
            splits = [splits for splits, _, _ in members]
            self._blocks = Blocks(self._stack.weights[self._first], self._batches, self._stream_of, splits)
        self._done = 0
        self._samples: list[tuple[list[int], Samples]] = []  # of each pair, with the rows that are measured on it
        self._gradients: Callable[..., Any] | None = None

    def step(self, lr: float, scheduled: Sequence[dict[str, float]]) -> Tensor:
        for group in self._optimiser.param_groups:
            group["lr"] = lr
        at = {
            name: torch.tensor([values[name] for values in scheduled]).index_select(0, self._method_row).to(self.device)
            for name in scheduled[0]
        }
        weights = self._stack.weights
        if self._blocks:
            weights = weights | {self._first: self._blocks.weight}
            drawn = self._blocks.draw(self._steps_ahead())
        else:
            drawn = tensors_of({domain: next(stream) for domain, stream in self._batches.items()})
        if self._gradients is None:
            traced = _trace(self.experiments[0], weights, self._stack, drawn, at)
            self.curves = traced.curves
            run = functools.partial(traced.run, weights, self._stack.buffers)
            is_recorded = self.device.type == "cuda" and self.methods[0].recordable
            self._gradients = Replayed(run, drawn, at) if is_recorded else run
        slopes, values = self._gradients(drawn, at)
        if self._blocks:
            self._blocks.update(slopes.pop(self._first), lr)
        for name, slope in slopes.items():
            self._stack.tables[name].grad = slope
        self._optimiser.step()
        self._done += 1
        return values[: len(self.experiments)]

    @property
    def resting(self) -> bool:
        return not (self._blocks and self._blocks.left)

    def _steps_ahead(self) -> int:
        # Up to the end of a block: of its length, or where weights are looked at.
        recipe = self.experiments[0]
        ends = (self._block, recipe.evaluate_every)
        return min(recipe.steps - self._done, *(end - self._done % end for end in ends))

    def evaluate(self) -> list[Evaluation]:
        weights = self._stack.weights | self._stack.buffers
        measured: dict[int, Evaluation] = {}
        if not self._samples:
            reads, taken = self.methods[0].reads, Taken()
            for pair in {id(each): each for each in self._pairs}.values():
                rows = [row for row, each in enumerate(self._pairs) if each is pair]
                self._samples.append((rows, Samples(pair, self._means[id(pair)], reads, taken=taken)))
        for rows, samples in self._samples:
            mine = weights if len(rows) == len(self._pairs) else {name: value[rows] for name, value in weights.items()}

            def predict(inputs: Tensor, mine: dict[str, Tensor] = mine) -> tuple[Tensor, Tensor]:
                return vmap(lambda weights: self._stack.call(Networks.predict, weights, inputs))(mine)

            class_weights = mine[name] if (name := self._stack.last_layer) else None
            measured |= zip(rows, evaluate(predict, samples, class_weights), strict=True)
        return [measured[row] for row in range(len(self.experiments))]

    def diagnose(self) -> list[Verdict | None]:
        return [
            examine_method(each, self.member(index), self._pairs[index], self._means[id(self._pairs[index])])
            for index, each in enumerate(self.experiments)
        ]

    def measure_adversary(self, index: int, begun: Mapping[str, Tensor]) -> dict[str, float]:
        pair = self._pairs[index]
        return measure_adversary(self.experiments[index], self.member(index), begun, pair, self._means[id(pair)])

    def member(self, index: int) -> Networks:
        return self._stack.member(index)

    def begin(self, index: int, weights: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, values in (self._stack.weights | self._stack.buffers).items():
                for row in self._rows_of(index):
                    values[row] = weights[name]

    def state(self, index: int) -> dict[str, Any]:
        weights = self._stack.weights | self._stack.buffers
        return copy_to_cpu(
            {
                "networks": {name: value[index] for name, value in weights.items()},
                "optimiser": {
                    name: {key: self._row(name, value, index) for key, value in self._optimiser.state[table].items()}
                    for name, table in self._stack.tables.items()
                    if table in self._optimiser.state
                },
                "random": {},  # a program without Dropout draws no random number
                "batches": {
                    domain: stream.state_dict(self._stream_of[index]) | {"seed": stream.seeds[self._stream_of[index]]}
                    for domain, stream in self._batches.items()
                },
            }
        )

    def load(self, index: int, state: dict[str, Any]) -> None:
        self.begin(index, state["networks"])
        remembered = copy_to_cpu(state["optimiser"])  # some of it is kept as it is, and then changed in place
        with torch.no_grad():
            for row in self._rows_of(index):
                for name, table in self._stack.tables.items():
                    for key, value in remembered.get(name, {}).items():
                        self._put(table, name, key, value, row)
        for domain, stream in self._batches.items():
            stream.load_state_dict(state["batches"][domain], self._stream_of[index])
        self._done = state["step"]

    def _rows_of(self, index: int) -> list[int]:
        return [index] if len(self.experiments) > 1 else [0, 1]

    def _row(self, name: str, value: Any, index: int) -> Any:
        # What the optimiser remembers of one member: its part of a table, or a count that all share.
        is_table = isinstance(value, Tensor) and value.shape == self._stack.tables[name].shape
        return self._stack.by_member({name: value})[name][index] if is_table else value

    def _put(self, table: Tensor, name: str, key: str, value: Any, row: int) -> None:
        if key == "step" or not isinstance(value, Tensor):  # PyTorch's name for a count of updates
            self._optimiser.state[table][key] = value
            return
        whole = self._optimiser.state[table].setdefault(key, torch.zeros_like(table))
        self._stack.by_member({name: whole})[name][row] = value


@dataclasses.dataclass(frozen=True)
class _Traced:
    run: Callable[..., Any]
    curves: list[str]


_TRACES: dict[Any, _Traced] = {}  # of this process, by what decides the operations of a step
MOST_TRACES = 32


def _trace(
    recipe: Experiment, weights: dict[str, Tensor], stack: Stack, drawn: Drawn, at: dict[str, Tensor]
) -> _Traced:
    """The gradients and values of a step as the list of its tensor operations, taken down once per process and shape.

    What autograd and vmap cost at each call is gone, and so are the operations that change nothing.
    """
    fixed = {name: value for name, value in describe(recipe.method).items() if name not in recipe.method.schedules}
    key = (
        (type(recipe.method), type(recipe.network), json.dumps([fixed, describe(recipe.network)], sort_keys=True)),
        tuple(value.shape for value in (weights | stack.buffers).values()),
        tuple((each.shape, each.device) for tensors in drawn.values() for each in tensors),
    )
    if key not in _TRACES:
        curves: list[str] = []
        function = _gradients_of(recipe.method, stack, curves)
        try:
            with torch.no_grad():
                run = _drop_idle(make_fx(function, tracing_mode="fake")(weights, stack.buffers, drawn, at))
        except RuntimeError as error:
            name = type(recipe.method).__qualname__
            error.add_note(f"If {name} draws random numbers or branches on values, set together = False in its class.")
            raise
        while len(_TRACES) >= MOST_TRACES:
            del _TRACES[next(iter(_TRACES))]
        _TRACES[key] = _Traced(torch.no_grad()(run), curves)
    return _TRACES[key]


def _gradients_of(method: Method, stack: Stack, curves: list[str]) -> Callable[..., Any]:
    """A function of stacked weights, buffers, batches and scheduled values to gradients, flat as tables, and values.

    The names of the values are written into `curves` when it is called.
    """

    def objective(networks: Networks, drawn: Drawn, at: dict[str, Any]) -> tuple[Tensor, Tensor]:
        losses = method.losses(networks, method.forward(networks, batches_of(drawn)), **at)
        curves[:] = losses.curves
        return losses.objective, torch.stack([value.detach() for value in losses.curves.values()])

    def of_member(weights: dict[str, Tensor], buffers: dict[str, Tensor], drawn: Drawn, at: dict[str, Any]) -> Any:
        return stack.call(objective, weights | buffers, drawn, at)

    differentiate = vmap(grad_and_value(of_member, has_aux=True))

    def gradients(*arguments: Any) -> tuple[dict[str, Tensor], Tensor]:
        slopes, (_, values) = differentiate(*arguments)
        return {name: fill_up(slope) for name, slope in slopes.items()}, values

    return gradients


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
