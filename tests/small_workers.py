"""What worker processes do in the tests of `run_workers`; importable by them."""

import os
import time

from experiments.errors import BadInput
from experiments.worker import run_reported


def disagree(events, index):
    """The first worker meets an input it cannot use while the others work on."""
    if index == 0:
        raise BadInput("steps must be >= 1, got -5")
    events.put("working")
    time.sleep(300)


def die(events, index):
    events.put("last words")
    time.sleep(0.5)
    os._exit(3)


def train_one(each, events, index):
    run_reported(each, events.put)
