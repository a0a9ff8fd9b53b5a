"""What all tests share."""

from hypothesis import settings

# The first example of a test pays for lazy imports, and the machine may be busy: time limits are pytest's business.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")
