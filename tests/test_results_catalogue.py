"""The tables that have a name."""

from typing import Any

import pytest

from experiments.errors import BadInput
from experiments.recipes import RECIPES
from results.catalogue import TABLES, find_entry
from results.drawing import FIGURES
from results.planning import find_recipes
from results.published import read_published
from sweeps.catalogue import SWEEPS


@pytest.mark.parametrize("name", TABLES)
def test_every_table_stands_on_what_there_is(name: str) -> None:
    entry = TABLES[name]
    known = {"experiments": set(RECIPES), "sweeps": set(SWEEPS), "": set()}[entry.command]
    assert set(entry.recipes) <= known
    assert set(entry.figures) <= set(FIGURES)
    assert len(f"{name:<26}{entry.summary}") <= 110
    if entry.published:
        source, where = entry.published
        published = read_published()
        assert (published["source"].str.startswith(source) & published["where"].str.startswith(where)).any()


def test_any_other_name_is_its_own_recipe() -> None:
    assert list(find_recipes("moons")) == ["moons"]
    assert list(find_entry("moons").recipes) == ["moons"]
    assert list(find_recipes("skada_bench")) == ["mnist_usps_skada"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "alpha_atlas",
            "is trained by python -m sweeps run alpha_atlas, then built by python -m results build alpha_atlas",
        ),
        ("ganin2016_table3", "cannot be built: Office-31"),
        ("validator_study", "has no recipe"),
    ],
)
def test_what_is_not_trained_here_says_by_what(name: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        find_recipes(name)


@pytest.mark.parametrize("options", [{"selection": "nuclear_norm"}, {"mixed": True}, {"figures": ["curves"]}])
def test_the_study_refuses_what_it_has_not(options: dict) -> None:
    client: Any = None
    entry = TABLES["validator_study"]
    with pytest.raises(
        BadInput, match=r"^validator_study (judges every|has no figure curves: allowed are study, none)"
    ):
        entry.make(client, entry.request("validator_study", **{"figures": entry.figures} | options))
