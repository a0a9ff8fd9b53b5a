"""Gradient reversal for PyTorch: the layer, its schedules, its losses, and a doctor for a gradient gone wrong."""

from grl.losses import domain_loss
from grl.reversal import GradientReversal, gradient_reversal

__all__ = ["GradientReversal", "domain_loss", "gradient_reversal"]
__version__ = "0.1.0"
