"""Every cell of the conformance table, and the table in the README."""

import pytest

from tests.support import conformance
from tests.support.conformance import BEGIN, END, KINDS, README, ROWS, UNDEFINED, Kind, render_table

CELLS = [pytest.param(row, kind, id=f"{row.replace('`', '')}-{kind.name}") for row in ROWS for kind in KINDS]
LAYERLESS = {"`torch.compile` fullgraph", "1,000 alphas, no recompile", "DDP, one and two forwards", "ONNX drops it"}

pytestmark = [
    pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled:UserWarning"),
    pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta state:UserWarning"),
    # PyTorch's own forward mode compiles its rules with it.
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated"),
]


@pytest.mark.parametrize(("row", "kind"), CELLS)
def test_cell(row: str, kind: Kind) -> None:
    if (row, kind.name) in UNDEFINED:
        with pytest.raises(Exception, match=r".+") as caught:
            ROWS[row](kind)
        assert not isinstance(caught.value, AssertionError), "it runs, and gives something wrong"
    else:
        ROWS[row](kind)


@pytest.mark.parametrize(("row", "name"), [cell for cell in UNDEFINED if cell[0] not in LAYERLESS])
def test_an_undefined_cell_fails_without_the_layer_too(row: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With plain arithmetic instead of the layer: what cannot be done is not for want of the layer."""
    monkeypatch.setattr(conformance, "layer", conformance.arithmetic)
    (kind,) = (kind for kind in KINDS if kind.name == name)
    with pytest.raises((RuntimeError, NotImplementedError, TypeError)):
        ROWS[row](kind)


@pytest.mark.parametrize(
    "row", ["gradient", "double backward", "`vmap`", "`jvp`", "`hessian`", "activation checkpointing"]
)
def test_a_cell_can_fail(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that does nothing, and one of the wrong size, are caught."""
    for wrong in (lambda x, alpha=0.3: x, lambda x, alpha=0.3: conformance.arithmetic(x, alpha * 1.01)):
        monkeypatch.setattr(conformance, "layer", wrong)
        with pytest.raises(AssertionError):
            ROWS[row](KINDS[0])


def test_the_readme_shows_this_table() -> None:
    text = README.read_text()
    if BEGIN not in text:
        pytest.skip("README.md has no place for the table yet")
    assert text.split(BEGIN)[1].split(END)[0].strip() == render_table().strip(), (
        "run: python -m tests.support.conformance"
    )
