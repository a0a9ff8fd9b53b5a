"""The two anchors between which every method is measured."""

from dataclasses import dataclass

from experiments.methods.base import Method


@dataclass(frozen=True, kw_only=True)
class SourceOnly(Method):
    """Label loss on source samples; never sees a target sample. With BatchNorm, "DANN with alpha 0" is another run."""

    name = "source_only"
    reads = "source"


@dataclass(frozen=True, kw_only=True)
class TargetOnly(Method):
    """Label loss on labelled target samples ("train on target"): the one method that reads target labels.

    Where the target has no test split it trains on one half and is measured on the other.
    """

    name = "target_only"
    reads = "target labels"
