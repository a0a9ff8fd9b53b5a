import importlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from datasets import DatasetError, PairEntry, add_domain, register
from datasets.batches.streams import random_bits
from datasets.domains import DOMAINS, NEEDS, PAIRS, find_domain, find_pair, list_domains
from datasets.domains.preparing import check_arrays, prepare_domain
from datasets.domains.syn_numbers import draw_masters, draw_numbers
from datasets.files.prepared import digest_of

SYN_NUMBERS_300 = "97791c1f8d674fe073f29923ed346127b290a75b31e7a257eb1bc16c56953839"
QUICK = [name for name, domain in DOMAINS.items() if domain.embedded and name != "syn_numbers"]


@pytest.mark.parametrize("name", QUICK)
def test_embedded_domains_have_the_published_bytes(name, tmp_path):
    arrays = DOMAINS[name].build(tmp_path)
    check_arrays(DOMAINS[name], arrays)
    assert digest_of(arrays) == DOMAINS[name].digest


@pytest.mark.parametrize("name", DOMAINS)
def test_every_card_is_complete(name):
    card = DOMAINS[name].card
    assert set(card) == {"Summary", "Source", "Licence", "Citation"}
    assert all(len(text) > 10 for field, text in card.items() if field != "Licence")
    assert card["Licence"]


@pytest.mark.parametrize("name", DOMAINS)
def test_every_original_can_be_fetched_or_explained(name):
    for original in DOMAINS[name].originals:
        assert original.urls or original.manual
        assert original.checksum or original.contents or original.manual
        assert not original.path.startswith("/")


def test_tables_name_domains_and_pairs_that_exist():
    assert all(name in PAIRS or name in DOMAINS for names in NEEDS.values() for name in names)
    assert NEEDS["demo"] == ("moons", "syn_digits_to_syn_digits_m")


def test_pairs_of_the_papers_are_there():
    assert len([name for name in PAIRS if name.startswith("amazon") and name.endswith("_msda")]) == 12
    assert len([name for name in PAIRS if name.startswith("office31") and name.endswith("_decaf")]) == 6
    assert len([name for name in PAIRS if name.startswith("office31") and not name.endswith("_decaf")]) == 6
    assert len([name for name in PAIRS if name.startswith("office_home")]) == 12
    assert len([name for name in PAIRS if name.startswith("office_caltech10")]) == 12


def test_any_two_domains_are_a_pair():
    entry = find_pair("office_caltech10_dslr_surf_to_office_caltech10_webcam_surf")
    assert (entry.source, entry.target) == ("office_caltech10_dslr_surf", "office_caltech10_webcam_surf")


def test_unknown_domain_suggests():
    with pytest.raises(DatasetError, match="domain 'mnst' is unknown, did you mean 'mnist'"):
        find_domain("mnst")


def test_syn_numbers_begin_with_the_published_bytes():
    """The whole takes half a minute; each row depends on its own random bits alone, so the first 300 stand for it."""
    bits = random_bits(0, "syn_numbers train", 300, 22)
    images, labels = draw_numbers(draw_masters(), bits)
    assert digest_of({"inputs": images, "labels": labels}) == SYN_NUMBERS_300


OUTSIDE = '''
import numpy as np

from datasets import Domain, PairEntry, register


def build(root, shade=10):
    """Squares.

    Source: drawn here
    Licence: none
    Citation: none
    """
    inputs = np.full((8, 6, 6, 1), shade, np.uint8)
    inputs[::2, :3] = 200
    return {"train_inputs": inputs, "train_labels": np.arange(8) % 2}


def build_dark(root):
    return build(root, 1)


facts = {"class_names": ("half", "whole"), "shape": (6, 6, 1), "counts": (8, 0)}
register(Domain(name="squares", title="Squares", build=build, **facts))
register(Domain(name="dark_squares", title="Dark squares", build=build_dark, **facts))
register(PairEntry(name="dusk", source="squares", target="dark_squares", protocol="as the sun sets"))
'''
USE = """
import importlib, sys
from datasets import load_pair, pair_fingerprint
importlib.import_module("outside.shapes")
importlib.import_module("outside.shapes")
for name in ("squares_to_dark_squares", "dusk"):
    pair = load_pair(name)
    assert pair.fingerprint == pair_fingerprint(name)
    print(pair.title, pair.shape, pair.protocol.partition(":")[0], pair.fingerprint)
"""


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A module outside the repository; what it registers is forgotten afterwards."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "shapes.py").write_text(OUTSIDE)
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path / "prepared"))
    monkeypatch.syspath_prepend(tmp_path)
    kept = dict(DOMAINS), dict(PAIRS)
    yield tmp_path
    for catalogue, entries in zip((DOMAINS, PAIRS), kept, strict=True):
        catalogue.clear()
        catalogue.update(entries)
    sys.modules.pop("outside.shapes", None)


def test_a_domain_and_a_pair_from_outside_in_every_process_that_imports_them(outside):
    environment = os.environ | {"PYTHONPATH": f"{outside}{os.pathsep}{Path(__file__).resolve().parents[1]}"}
    command = [sys.executable, "-W", "error", "-c", USE]
    runs = [
        subprocess.run(command, cwd=outside, env=environment, capture_output=True, text=True, check=False)
        for _ in range(2)
    ]
    assert [run.stderr for run in runs] == ["", ""]
    assert runs[0].stdout == runs[1].stdout
    first, second = runs[0].stdout.splitlines()
    assert first.startswith("Squares → Dark squares (6, 6, 1) transductive ")
    assert second.startswith("Squares → Dark squares (6, 6, 1) as the sun sets ")


def test_a_registered_domain_is_like_any_other(outside):
    importlib.import_module("outside.shapes")
    assert find_domain("squares").origin == "outside.shapes:build"
    assert "Squares." in find_domain("squares").card["Summary"]
    assert find_domain("dark_squares").card["Licence"] == "not stated"
    assert find_domain("squares") in list_domains()
    np.testing.assert_array_equal(prepare_domain(find_domain("squares")).arrays["train_labels"], np.arange(8) % 2)


def test_two_domains_of_one_name_are_not_taken_for_each_other(outside):
    """Two projects share one folder of prepared files."""
    importlib.import_module("outside.shapes")
    first = prepare_domain(find_domain("squares"))
    register(replace(DOMAINS["dark_squares"], name="squares"))
    assert prepare_domain(find_domain("squares")).digest != first.digest


def test_names_of_this_repository_are_not_to_be_had(outside):
    importlib.import_module("outside.shapes")
    with pytest.raises(DatasetError, match="name 'mnist' belongs to this repository"):
        register(replace(DOMAINS["squares"], name="mnist"))
    with pytest.raises(DatasetError, match="name 'mnist_to_usps' belongs to this repository"):
        register(PairEntry(source="mnist", target="usps"))
    np.savez(outside / "x.npz", inputs=np.zeros((4, 2)), labels=[0, 1, 0, 1])
    add_domain("added", outside / "x.npz")
    with pytest.raises(DatasetError, match=r"name 'added' belongs to a domain that was added from .*x\.npz"):
        register(replace(DOMAINS["squares"], name="added"))
    with pytest.raises(DatasetError, match=r"name 'squares' belongs to a domain of outside\.shapes:build"):
        add_domain("squares", outside / "x.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a_to_b"}, "name must be 1 to 100 of a-z, 0-9 and _ without '_to_', got 'a_to_b'"),
        ({"name": "a" * 101}, "name must be 1 to 100 of a-z"),
        ({"class_names": ("a",)}, "digits: class_names must be at least two different names, got a"),
        ({"class_names": ("a", "a")}, "digits: class_names must be at least two different names, got a, a"),
        ({"class_names": (3, 4)}, "digits: class_names must be text, got 3"),
        ({"shape": (28, 28)}, r"digits: shape must be \(H, W, C\) or \(D,\), each at least 1, got \(28, 28\)"),
        ({"shape": (0,)}, r"digits: shape must be .*, got \(0,\)"),
        ({"counts": (0, 5)}, r"digits: counts must be \(training >= 1, test >= 0\), got \(0, 5\)"),
    ],
)
def test_a_domain_that_cannot_be(change, message):
    with pytest.raises(DatasetError, match=message):
        replace(DOMAINS["digits"], **change)


@given(st.text(max_size=300))
def test_a_name_that_nobody_has_is_refused_in_one_line(name):
    assume(name not in DOMAINS and name not in PAIRS)
    for find in (find_domain, find_pair):
        with pytest.raises(DatasetError, match="is unknown") as caught:
            find(name)
        assert len(str(caught.value).splitlines()) == 1
