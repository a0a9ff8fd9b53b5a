import pytest

from datasets import DatasetError
from datasets.batches.streams import random_bits
from datasets.domains import DOMAINS, NEEDS, PAIRS, find_domain, find_pair
from datasets.domains.preparing import check_arrays
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
        assert bool(original.urls) != bool(original.manual)
        assert original.checksum or original.contents or original.manual
        assert not original.path.startswith("/")


def test_tables_name_pairs_that_exist():
    assert all(name in PAIRS for names in NEEDS.values() for name in names)
    assert NEEDS["demo"] == ("moons", "syn_digits_to_syn_digits_m")


def test_pairs_of_the_papers_are_there():
    assert len([name for name in PAIRS if name.startswith("amazon") and name.endswith("_msda")]) == 12
    assert len([name for name in PAIRS if name.startswith("office31")]) == 6
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
