"""The tracking store, opened for reading: quickly, quietly, and with every failure in one line."""

import logging
import os
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from experiments import record
from experiments.errors import BadInput

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"


def open_store() -> "MlflowClient":
    """Connect to the tracking store; unlike a training, reading never creates one.

    Raises:
        BadInput: with the address and the reason.
    """
    uri = record.tracking_uri()
    if uri.startswith(SQLITE):
        _check_sqlite(Path(uri.removeprefix(SQLITE).split("?")[0]))
    # A server that is away must cost seconds, not the minutes of MLflow's default retries.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with answering(f"MLflow store {uri} cannot be reached"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside MLflow's own imports are not the user's business
            from mlflow import MlflowClient
        for name in ("mlflow", "alembic"):  # after the import, which sets levels of its own
            logging.getLogger(name).setLevel(logging.CRITICAL)
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    return client


@contextmanager
def answering(otherwise: str) -> Iterator[None]:
    """Run calls of the MLflow client; whatever they raise becomes one line that starts with `otherwise`.

    MLflow passes on the errors of its databases, of HTTP and of every kind of artifact store.

    Raises:
        BadInput: `otherwise` and the first line of the reason.
    """
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise BadInput(f"{otherwise}: {reason[:300]}") from None


def _check_sqlite(path: Path) -> None:
    # MLflow would create a missing file, and try for minutes to open a broken one.
    if not path.exists():
        raise BadInput(f"no runs recorded yet: {path} does not exist; make the first ones with: make demo")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.Error as error:
        raise BadInput(f"MLflow store {path} cannot be read: {error}") from None
