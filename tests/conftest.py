"""What all tests share."""

from hypothesis import settings

from tests.recorded_store import recorded_store, store  # noqa: F401 (fixtures)
from tests.small_runs import client, migrated_store, runs  # noqa: F401

# The first example of a test pays for lazy imports, and the machine may be busy: time limits are pytest's business.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")
