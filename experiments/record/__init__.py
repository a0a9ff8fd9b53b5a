"""The record of a run: its own folder first, MLflow from there. Nothing here needs PyTorch or knows a network."""
