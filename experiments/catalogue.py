"""Every experiment and table that has a name."""

from collections.abc import Callable

from experiments.demo import demo
from experiments.digits import mnist_m, mnist_to_mnist_m, mnist_to_mnist_m_modern, syn_digits_to_syn_digits_m
from experiments.experiment import Experiment
from experiments.moons import moons, moons_alphas
from experiments.reviews import books_to_dvd

EXPERIMENTS: dict[str, Callable[[], Experiment]] = {
    function.__name__: function
    for function in (moons, syn_digits_to_syn_digits_m, mnist_to_mnist_m, mnist_to_mnist_m_modern, books_to_dvd)
}

# A table is a list of experiments.
TABLES: dict[str, Callable[..., list[Experiment]]] = {
    function.__name__: function for function in (demo, mnist_m, moons_alphas)
}
