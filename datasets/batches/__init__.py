"""Splits become endless batches whose order follows from a seed alone."""
