"""Gradient reversal for PyTorch: the layer, its schedules, its losses, and a doctor for a gradient gone wrong."""

from grl.clip import gradient_clip
from grl.losses import domain_loss
from grl.reversal import GradientReversal, gradient_reversal
from grl.tricks import add_gradient, gradient_scale

__all__ = ["GradientReversal", "add_gradient", "domain_loss", "gradient_clip", "gradient_reversal", "gradient_scale"]
__version__ = "0.1.0"
