"""The recipes in grl/RECIPES.md: every block runs, trains, and ends with a reversed gradient."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import grl
from grl.doctor import examine

RECIPES = Path(__file__).parents[1] / "grl" / "RECIPES.md"
SECTIONS = re.split(r"^## ", RECIPES.read_text(), flags=re.MULTILINE)
BLOCKS = {section.splitlines()[0]: re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL) for section in SECTIONS}
NEEDS = {"Plain PyTorch": "torch", "Lightning": "lightning", "Hugging Face Trainer": "transformers"}

# What the trainers do and warn of by themselves is theirs.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def test_every_recipe_is_run() -> None:
    assert list(BLOCKS) == ["# Recipes", *NEEDS]
    assert all(len(blocks) == 1 for blocks in BLOCKS.values())


@pytest.mark.parametrize("name", NEEDS)
def test_recipe(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(NEEDS[name], reason=f"{NEEDS[name]} is not installed; run: python -m tests.support.frameworks")
    if name == "Hugging Face Trainer":  # the folder `datasets` here is not the package that it takes it for
        monkeypatch.setattr("transformers.trainer.is_datasets_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    for block in (*BLOCKS["# Recipes"], *BLOCKS[name]):
        exec(compile(block, str(RECIPES), "exec"), scope)
    network = scope["network"].eval()
    source, target = scope["source_x"], scope["target_x"]
    labels = torch.arange(512) % 2
    assert (network(source)[0].argmax(1) == labels).float().mean() > 0.95
    assert examine(network.feature_extractor, network.domain_classifier, source[:64], target[:64], 1.0).healthy


@pytest.mark.parametrize("name", NEEDS)
def test_a_recipe_is_short_and_uses_public_names(name: str) -> None:
    (block,) = BLOCKS[name]
    assert len([line for line in block.splitlines() if line.strip()]) <= 25
    for names in re.findall(r"^from grl import (.*)$", block, flags=re.MULTILINE):
        assert set(names.split(", ")) <= set(grl.__all__)
