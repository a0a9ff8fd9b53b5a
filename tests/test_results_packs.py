"""The runs that are published with a table: this version of the code reads them, and the table follows from them."""

import pandas as pd
import pytest

from experiments.record import names
from experiments.record.deliveries import Destination, destinations_of
from experiments.record.delivery import deliver_all
from experiments.record.packing import unpack
from experiments.work.pairs import recorded_experiment
from results.catalogue import find_entry
from results.cells import CELL
from results.selecting import NUMBERS

PACKS = sorted((names.RESULTS / "packs").glob("*.tar.xz"))


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.name)
def test_a_published_table_follows_from_its_published_runs(path, client):
    name = path.name.removesuffix(".tar.xz")
    taken, left = unpack(path)
    assert not left
    assert [recorded_experiment(folder).hash for folder in taken] == [folder.name for folder in taken]

    deliver_all(client, [folder for folder in taken if Destination(name) in destinations_of(folder)])
    entry = find_entry(name)
    table = entry.make(client, entry.request(name, selection=entry.selection, figures=[]))
    made = table.frames[""].set_index(CELL)
    published = pd.read_csv(names.RESULTS / "tables" / f"{name}.csv", comment="#", keep_default_na=False)
    numbers = ["n", *(number for number in NUMBERS if number != names.PROXY_A_DISTANCE)]  # which needs evaluations
    expected = published.set_index(CELL)[numbers].apply(pd.to_numeric, errors="coerce")
    pd.testing.assert_frame_equal(made[numbers].astype(float), expected.astype(float), check_index_type=False)
