"""Gradient reversal for PyTorch."""

from grl.losses import domain_loss
from grl.reversal import gradient_reversal

__all__ = ["domain_loss", "gradient_reversal"]
