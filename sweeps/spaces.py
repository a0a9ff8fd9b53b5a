"""What a trial can suggest: alpha schedules by family, and the knobs of the optimiser."""

import dataclasses

import optuna

from experiments.errors import BadInput
from experiments.experiment import Experiment
from experiments.methods import Adversarial
from grl.schedules import Constant, Cosine, Cyclic, Ganin, InverseDecay, Linear, Polynomial, Schedule, Step

FAMILIES = ("constant", "ganin", "linear", "cosine", "polynomial", "step", "cyclic")
LOWEST, HIGHEST = 0.01, 2.0  # of alpha: the field's published values lie between 0.01 and 1


def with_alpha(experiment: Experiment, alpha: Schedule) -> Experiment:
    """The same experiment under another alpha.

    Raises:
        BadInput: its method has none.
    """
    if not isinstance(experiment.method, Adversarial):
        raise BadInput(f"method {experiment.method.name} has no alpha to search")
    return dataclasses.replace(experiment, method=dataclasses.replace(experiment.method, alpha=alpha))


def suggest_family(trial: optuna.Trial, families: tuple[str, ...] = FAMILIES, highest: float = HIGHEST) -> Schedule:
    """A schedule of one of the families, its parameters named `family.parameter`."""
    family = trial.suggest_categorical("schedule", families)

    def alpha(name: str) -> float:
        return trial.suggest_float(f"{family}.{name}", LOWEST, highest, log=True)

    match family:
        case "constant":
            return Constant(value=alpha("value"))
        case "ganin":
            gamma = trial.suggest_float("ganin.gamma", 1.0, 100.0, log=True)
            return Ganin(gamma=gamma, alpha_max=alpha("alpha_max"))
        case "linear":
            return Linear(end=alpha("end"))
        case "cosine":
            return Cosine(end=alpha("end"))
        case "polynomial":
            return Polynomial(end=alpha("end"), power=trial.suggest_float("polynomial.power", 0.5, 4.0, log=True))
        case "step":
            return Step(at=trial.suggest_float("step.at", 0.05, 0.75), after=alpha("after"))
        case "cyclic":
            return Cyclic(high=alpha("high"), cycles=trial.suggest_int("cyclic.cycles", 1, 8))
        case other:
            raise AssertionError(other)


def suggest_alpha(recipe: Experiment, trial: optuna.Trial) -> Experiment:
    """Any family of alpha schedules with its parameters."""
    return with_alpha(recipe, suggest_family(trial))


def suggest_recipe(recipe: Experiment, trial: optuna.Trial) -> Experiment:
    """Learning rate, weight decay and alpha together."""
    varied = dataclasses.replace(
        recipe,
        lr=InverseDecay(
            lr=trial.suggest_float("lr", 1e-3, 0.3, log=True),
            rate=trial.suggest_categorical("lr.rate", [0.0, 10.0]),
        ),
        optimiser=dataclasses.replace(
            recipe.optimiser, weight_decay=trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True)
        ),
    )
    return suggest_alpha(varied, trial)


def suggest_stable(recipe: Experiment, trial: optuna.Trial) -> Experiment:
    """Constant, Ganin's ramp or a straight line, from alpha 0.05 up to where moons' learning rate is still stable.

    A constant alpha meets the large learning rate of the first steps, where two of five seeds diverge at 0.5; the
    others rise as it falls.
    """
    match trial.suggest_categorical("schedule", ("constant", "ganin", "linear")):
        case "constant":
            alpha: Schedule = Constant(value=trial.suggest_float("constant.value", 0.05, 0.35, log=True))
        case "ganin":
            alpha = Ganin(
                gamma=trial.suggest_float("ganin.gamma", 1.0, 10.0, log=True),
                alpha_max=trial.suggest_float("ganin.alpha_max", 0.05, 1.0, log=True),
            )
        case _:
            alpha = Linear(end=trial.suggest_float("linear.end", 0.05, 1.0, log=True))
    return with_alpha(recipe, alpha)
