"""The one exception of this folder: every bad input becomes one clear line."""


class DatasetError(ValueError):
    """A domain, a pair or a file cannot be used; the message names it and says what is allowed or what to do."""
