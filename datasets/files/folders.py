"""Where data lies: what the user brought or downloaded (`data_root`), and what was made from it (`prepared_root`)."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of the original files: `root`, else `GRL_DATA`, else `data/` in the checkout. It is only read.

    Args:
        root: a folder that overrides the environment.

    Returns:
        The folder, whether it exists or not.
    """
    return Path(root or os.environ.get("GRL_DATA") or CHECKOUT / "data").expanduser().resolve()


def prepared_root() -> Path:
    """Return the folder of the prepared files: `GRL_PREPARED`, else `data/prepared/` in the checkout."""
    return Path(os.environ.get("GRL_PREPARED") or CHECKOUT / "data" / "prepared").expanduser().resolve()
