"""`import grl` touches no other framework, and asking for one that is missing says so."""

import importlib
import sys

import pytest

import grl


@pytest.mark.parametrize(
    ("module", "framework", "name"), [("grl.jax", "jax", "JAX"), ("grl.tensorflow", "tensorflow", "TensorFlow")]
)
def test_a_missing_framework_is_named(module: str, framework: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, framework, None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(ImportError, match=rf"{module} needs {name}, which is not installed: pip install {framework}"):
        importlib.import_module(module)


def test_grl_alone_imports_neither() -> None:
    assert grl.__all__
    assert not any(name.startswith(("grl.jax", "grl.tensorflow")) for name in dir(grl))
