"""The catalogue of recipes: every experiment and table that has a name."""

from collections.abc import Callable
from typing import Any

from experiments.recipes.demo import demo
from experiments.recipes.digits import (
    mnist_m,
    mnist_m_methods,
    mnist_to_mnist_m,
    mnist_to_mnist_m_modern,
    syn_digits_to_syn_digits_m,
)
from experiments.recipes.moons import ganin2016_figure2, moons, moons_alphas
from experiments.recipes.numbers import (
    ganin2016_table2,
    ganin2016_table2_mnist_m,
    svhn_to_mnist,
    syn_numbers_to_svhn,
    syn_signs_to_gtsrb,
)
from experiments.recipes.office import office_caltech10, office_caltech10_deep, office_caltech10_surf
from experiments.recipes.office31 import amazon_to_webcam
from experiments.recipes.reviews import books_to_dvd, ganin2016_table1, ganin2016_table1_msda, reviews_one_alpha
from experiments.recipes.usps import (
    mnist_to_usps,
    mnist_to_usps_skada,
    mnist_usps,
    mnist_usps_cdan,
    mnist_usps_skada,
    usps_to_mnist,
    usps_to_mnist_skada,
)

Recipe = Callable[..., Any]
"""Returns an `Experiment`, or a list of them; or yields the lists that it chooses by, and returns the table."""

RECIPES: dict[str, Recipe] = {
    function.__name__: function
    for function in (
        moons,
        syn_digits_to_syn_digits_m,
        mnist_to_mnist_m,
        mnist_to_mnist_m_modern,
        syn_numbers_to_svhn,
        svhn_to_mnist,
        syn_signs_to_gtsrb,
        books_to_dvd,
        amazon_to_webcam,
        mnist_to_usps,
        usps_to_mnist,
        mnist_to_usps_skada,
        usps_to_mnist_skada,
        office_caltech10,
        demo,
        mnist_m,
        mnist_m_methods,
        mnist_usps,
        mnist_usps_cdan,
        mnist_usps_skada,
        moons_alphas,
        ganin2016_table1,
        ganin2016_table1_msda,
        reviews_one_alpha,
        office_caltech10_deep,
        office_caltech10_surf,
        ganin2016_figure2,
        ganin2016_table2,
        ganin2016_table2_mnist_m,
    )
}
