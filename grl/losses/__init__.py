"""Adversarial losses whose adversary sees the features through the reversal."""

from grl.losses.domain import domain_loss

__all__ = ["domain_loss"]
