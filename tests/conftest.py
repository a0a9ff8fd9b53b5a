"""What all tests share."""

import signal
from importlib.util import find_spec

from hypothesis import settings

# grl's own tests also run where the benchmark is not installed: `python -m tests.support.frameworks`.
if find_spec("mlflow"):
    from tests.support.own import own  # noqa: F401 (fixtures)
    from tests.support.recorded_store import recorded_store, store  # noqa: F401
    from tests.support.small_runs import client, migrated_store, runs  # noqa: F401
    from tests.support.trainings import moons_pair  # noqa: F401

# The first example of a test pays for lazy imports, and the machine may be busy: time limits are pytest's business.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

# nohup, and a shell that starts a command in the background, have these ignored, here and in every process from here.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
