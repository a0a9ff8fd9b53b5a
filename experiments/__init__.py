"""One run: an `Experiment` goes in, a recorded result comes out."""
