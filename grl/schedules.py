import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Constant:
    value: float = 1.0

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        return self.value


@dataclass(frozen=True, kw_only=True)
class Ganin:
    gamma: float = 10.0
    alpha_max: float = 1.0
    horizon: int | None = None

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        return self.alpha_max * (2 / (1 + math.exp(-self.gamma * progress)) - 1)


@dataclass(frozen=True, kw_only=True)
class Linear:
    start: float = 0.0
    end: float = 1.0

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        return self.start + (self.end - self.start) * progress


@dataclass(frozen=True, kw_only=True)
class InverseDecay:
    lr: float = 0.01
    rate: float = 10.0
    power: float = 0.75

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        return self.lr / (1 + self.rate * progress) ** self.power


Schedule = Constant | Ganin | Linear
