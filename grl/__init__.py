"""Gradient reversal for PyTorch."""
