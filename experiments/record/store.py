"""The MLflow store: found, checked, created whole, and opened."""

import importlib.metadata
import logging
import os
import re
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import filelock

from experiments.errors import BadInput, is_ours
from experiments.record import names
from experiments.record.files import writing_to

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

# A server that is away must cost seconds, not the minutes of MLflow's default retries, which would repeat a request
# that has arrived and create a run twice; whoever delivers tries again, and looks before it creates.
REQUEST_TIMEOUT_S = 20
SERVERS, DATABASES = ("http", "https"), ("postgresql", "mysql", "mssql")
SQLITE = "sqlite:///"
ASKED_AT_ONCE = 200


class Unreachable(RuntimeError):
    """The tracking store did not take the data; they stay on disk."""


def check_tracking_uri() -> None:
    """Refuse a tracking URI that no store can have. Whether a store answers there is another question.

    Raises:
        BadInput: naming the variable, its value and what is allowed.
    """
    uri = names.tracking_uri()
    scheme, separator, rest = uri.partition("://")
    scheme = scheme.split("+")[0]  # mysql+pymysql
    plugins = {entry.name for entry in importlib.metadata.entry_points(group="mlflow.tracking_store")}
    if scheme in plugins or uri == "databricks":
        return
    if scheme == "sqlite":
        wrong = "" if rest.startswith("/") and rest.strip("/") else "there is no path of a file"
    elif not separator or scheme not in (*SERVERS, *DATABASES):
        wrong = f"scheme {scheme!r} is unknown" if separator else "there is no scheme"
    else:
        wrong = _find_wrong_host(uri)
    if wrong:
        servers = ", ".join(f"{name}://host" for name in (*SERVERS, *DATABASES, *sorted(plugins)))
        raise BadInput(
            f"MLFLOW_TRACKING_URI must be sqlite:///path or one of {servers}, got {names.shown_uri()!r}: {wrong}"
        )


def _find_wrong_host(uri: str) -> str:
    if any(character.isspace() for character in uri):
        return "it contains a space"
    try:
        parts = urlsplit(uri)
        if not parts.hostname:
            return "the host is empty"
        return "the port must be 1 to 65535" if parts.port == 0 else ""
    except ValueError as error:
        return str(error)


def import_mlflow() -> None:
    """Import MLflow, which takes seconds, with patience and chatter as it suits this program."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(REQUEST_TIMEOUT_S))
    # A line per finished run in the middle of the progress bars.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside MLflow's own imports are not the user's business
        import mlflow  # noqa: F401
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what fails is raised, too, and said once


def open_client(*, create: bool = True) -> "MlflowClient":
    """Connect to the tracking store.

    Args:
        create: Make the default store at first use; whoever only reads never does.

    Raises:
        BadInput: no store can have this tracking URI, or there is none yet and none is to be made.
        Unreachable: with the address and the reason.
    """
    check_tracking_uri()
    uri = names.tracking_uri()
    if path := names.sqlite_path():
        if not path.exists() and not create:
            raise BadInput(f"no runs recorded yet: {path} does not exist; make the first ones with: make demo")
        _ensure_sqlite(path)
    try:
        import_mlflow()
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    except Exception as error:
        raise Unreachable(f"MLflow store {names.shown_uri()} cannot be reached: {first_line(error)}") from None
    return client


def _ensure_sqlite(path: Path) -> None:
    """Make the store's file if there is none: under another name, so that no kill leaves half of one.

    Raises:
        BadInput: the file is no store of MLflow, or half of one.
    """
    if not path.exists():
        with writing_to(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(f"{path}.lock"):
                if not path.exists():
                    _create_sqlite(path)
    try:
        with closing(open_file(path)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            runs = connection.execute("SELECT count(*) FROM runs").fetchone()[0] if "runs" in tables else 0
            whole = "alembic_version" in tables and connection.execute("SELECT * FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise BadInput(f"MLflow store {path} cannot be read: {error}") from None
    if not whole:
        kept = f"it holds {runs} runs: keep a copy" if runs else "no run is in it"
        raise BadInput(f"MLflow store {path} was left half made ({kept}); move it away and give the command again")


def open_file(path: Path) -> sqlite3.Connection:
    """The store's file, to be read.

    Writable where it can be: a process killed in mid-write has left a journal, and reading undoes what it had begun.
    """
    mode = "rw" if os.access(path, os.W_OK) else "ro"
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True)


def _create_sqlite(path: Path) -> None:
    import_mlflow()
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as temporary:
        begun, ready = Path(temporary) / "begun.db", Path(temporary) / "ready.db"
        MlflowClient(tracking_uri=f"{SQLITE}{begun}").search_experiments(max_results=1)
        # MLflow keeps its file open: what is renamed is a copy that nobody holds.
        with closing(sqlite3.connect(begun)) as source, closing(sqlite3.connect(ready)) as target:
            source.backup(target)
        ready.replace(path)


def find_states(client: "MlflowClient", run_ids: Sequence[str]) -> dict[str, str]:
    """The status of each of these runs that the store has, those that a person has deleted there among them."""
    found: dict[str, str] = {}
    path, experiment_ids = names.sqlite_path(), []
    if path is None and run_ids:
        every = client.search_experiments(view_type=3)  # ViewType.ALL
        experiment_ids = [each.experiment_id for each in every]
    for start in range(0, len(run_ids), ASKED_AT_ONCE):
        asked = run_ids[start : start + ASKED_AT_ONCE]
        if path is None:
            wanted = ", ".join(f"'{run_id}'" for run_id in asked)
            runs = client.search_runs(experiment_ids, f"attributes.run_id IN ({wanted})", 3, len(asked))
            found |= {run.info.run_id: run.info.status for run in runs}
        else:
            with closing(open_file(path)) as database:
                marks = ", ".join("?" * len(asked))
                found |= dict(database.execute(f"SELECT run_uuid, status FROM runs WHERE run_uuid IN ({marks})", asked))
    return found


def find_experiment(client: "MlflowClient", name: str) -> "Experiment | None":
    """The MLflow experiment called `name`.

    Raises:
        Unreachable: a person has deleted it; how it is brought back.
    """
    found = client.get_experiment_by_name(name)
    if found and found.lifecycle_stage == "deleted":
        raise Unreachable(
            f"experiment {name!r} was deleted in MLflow; bring it back with: MLFLOW_TRACKING_URI={names.shown_uri()} "
            f"mlflow experiments restore --experiment-id {found.experiment_id}"
        )
    return found


@contextmanager
def answering(otherwise: str) -> Iterator[None]:
    """Run calls of the MLflow client; whatever they raise becomes one line that starts with `otherwise`.

    MLflow passes on the errors of its databases, of HTTP and of every kind of artifact store.

    Raises:
        Unreachable: `otherwise` and the first line of the reason.
    """
    try:
        yield
    except (BadInput, Unreachable):
        raise
    except Exception as error:
        raise Unreachable(f"{otherwise}: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """The reason of an error, short and without the credentials of the store."""
    if is_ours(error):
        return names.redact(str(error))
    text = re.sub(r"^\(\w+\.\w+\) ", "", names.redact(str(error).strip()))  # SQLAlchemy's name of the class
    return next(iter(text.splitlines()), type(error).__name__)[:300]
