"""The record of a run: what is written where, and under which names.

A run writes to its own folder `results/runs/<hash>/` first and to MLflow from there, so that no tracking server,
however slow or dead, can touch a training. This module holds the names only; it imports nothing heavy, because
`results` reads it too.

```
results/runs/
  mlflow.db, artifacts/     the default MLflow store
  <hash>/
    run.json                hash, title, params, tags and data sets, written at the first start
    points.jsonl            the curves: one line per log call {"step", "time_ms", "values"}
    checkpoint.pt           everything needed to go on; gone once the run is done
    progress.json           step and last values while it is trained; gone afterwards
    status.json             RUNNING, FINISHED, FAILED or KILLED, and how many points are final
    result.json             the single numbers of a finished run; with the status FINISHED, written after it: "done"
    curves.parquet          the curves again: columns step, metric, value
    evaluations.npz         what validators read at each evaluation: logits and features of fixed samples
    model.pt                final weights
    changes.patch           what was not committed when the run was started; only where something was not
    deliveries.json         what MLflow has received, per destination
```
"""

import os
import posixpath
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from experiments.errors import BadInput

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "results"

# Files of a run's folder.
RUN, STATUS, POINTS, CHECKPOINT, RESULT = "run.json", "status.json", "points.jsonl", "checkpoint.pt", "result.json"
CURVES, EVALUATIONS, MODEL, DELIVERIES = "curves.parquet", "evaluations.npz", "model.pt", "deliveries.json"
CHANGES, PROGRESS = "changes.patch", "progress.json"

# Curves. Losses are in nats; accuracies in [0, 1]; training curves are means over the steps since the previous point.
ALPHA, LR = "alpha", "lr"
LABEL_LOSS, DOMAIN_LOSS, ADVERSARIAL_LOSS, DOMAIN_ACCURACY = (
    "label_loss",
    "domain_loss",
    "adversarial_loss",
    "domain_accuracy",
)
SOURCE_ACCURACY, TARGET_ACCURACY = "source_accuracy", "target_accuracy"  # on the test splits, at each evaluation
# What `target_oracle` chooses by: labelled target samples that are not reported. Where there are none beside the test
# split, a part of it, and then it reports the rest.
TARGET_VALIDATION_ACCURACY, TARGET_REST_ACCURACY = "target_validation_accuracy", "target_rest_accuracy"

# Single numbers of a finished run, also MLflow metrics. The proxy A-distance is that of the last evaluation.
PROXY_A_DISTANCE = "proxy_a_distance"
# Of an adversary at the end: the cosine of its gradient at the features with that of the label loss, its norm over that
# one's, and how far the weights of its heads have moved over their first norm.
GRADIENT_COSINE, GRADIENT_RATIO, ADVERSARY_MOVED = "gradient_cosine", "gradient_ratio", "adversary_moved"
TRAIN_TIME_S, STEPS_PER_S = "train_time_s", "steps_per_s"

# What an evaluation leaves for whoever chooses among checkpoints: arrays of EVALUATIONS, one entry a step, E of them.
STEPS = "steps"  # (E,)
TARGET_LOGITS = "target_logits"  # (E, n, C) of a fixed sample of target training inputs, labels unseen
MIXED_LOGITS = "mixed_logits"  # (E, n - n // 2, C) of .55 of input i and .45 of input i + n // 2 of the same
SOURCE_LOGITS, SOURCE_LABELS = "source_logits", "source_labels"  # (E, m, C) and (m,) of held-out source samples
# In one projection of one evaluation: (E, j, D) of source training inputs, (E, m, D) and (E, min(n, 1000), D) of those
# whose logits are kept.
TRAINING_FEATURES, SOURCE_FEATURES, TARGET_FEATURES = "training_features", "source_features", "target_features"
SOURCE_WEIGHTS = "source_weights"  # (m,) density ratios at held-out source samples: not kept, they follow from features
CLASS_COSINES = "class_cosines"  # (E, C, C) between the weights of two classes in the label predictor's last layer
FEATURES, LABELS, DOMAIN_LABELS = "features", "labels", "domain_labels"  # (E, k, D), (k,), (k,) of test samples
# (E, C, C) counts on the test splits, the source's without the held-out samples: rows true, columns predicted.
SOURCE_CONFUSION, TARGET_CONFUSION = "source_confusion", "target_confusion"
TARGET_RIGHT = "target_right"  # (E, N / 8 rounded up) bits, one a target test sample: is its largest logit right?
# Some target test samples for a figure: (s,) places in the split, (s,) labels, (s, H, W, C) images, (E, s, C) logits.
SHOWN_PLACES, SHOWN_LABELS, SHOWN_IMAGES, SHOWN_LOGITS = "shown_places", "shown_labels", "shown_images", "shown_logits"
PER_STEP = (  # the other arrays are the same at every step
    *(TARGET_LOGITS, MIXED_LOGITS, SOURCE_LOGITS, TRAINING_FEATURES, SOURCE_FEATURES, TARGET_FEATURES),
    *(CLASS_COSINES, FEATURES, SOURCE_CONFUSION, TARGET_CONFUSION, SHOWN_LOGITS, TARGET_RIGHT),
)
KNOW_TARGET_LABELS = (LABELS, TARGET_CONFUSION, TARGET_RIGHT, SHOWN_LABELS)  # no validator may look at these
# Of a finished run whose inputs are two numbers, what its last weights make of their plane; a grid of G by G points.
PLANE_AXES = "plane_axes"  # (2, G): x and y of the grid
PLANE_LABELS, PLANE_DOMAIN = "plane_label_logits", "plane_domain_logits"  # (G, G, C) and (G, G), at [y, x]
PLANE_INPUTS = "plane_inputs"  # (k, 2): where the samples of FEATURES lie
PLANE_LINES = "plane_lines"  # (H, 3): a, b, c of a x + b y + c = 0, where a unit of the first layer changes sign

# What a run records by itself: no validator of a user's own goes by such a name, as it would be read in its place.
RECORDED = (
    *(ALPHA, LR, LABEL_LOSS, DOMAIN_LOSS, ADVERSARIAL_LOSS, DOMAIN_ACCURACY, SOURCE_ACCURACY, TARGET_ACCURACY),
    *(TARGET_VALIDATION_ACCURACY, TARGET_REST_ACCURACY, PROXY_A_DISTANCE, GRADIENT_COSINE, GRADIENT_RATIO),
    *(ADVERSARY_MOVED, TRAIN_TIME_S, STEPS_PER_S),
)

LONGEST_NAME = 250  # MLflow's own limit


def check_metric_name(name: str) -> None:
    """Refuse what MLflow would not take as the name of a metric, before anything is trained for it.

    Raises:
        BadInput: naming the metric and what is allowed.
    """
    is_plain_path = posixpath.normpath(name) == name and name != "." and not name.startswith(("/", ".."))
    if not (re.fullmatch(r"[\w./ :-]+", name) and is_plain_path and len(name) <= LONGEST_NAME):
        raise BadInput(
            f"metric name must be at most {LONGEST_NAME} letters, digits, spaces and _ - . : /, "
            f"and no path that begins or ends with / or goes through . or .., got {name!r}"
        )


# Tags of an MLflow run.
KIND = "kind"  # "run", "study", "trial" or "report"
STATE = "state"  # of a trial, as Optuna names it: COMPLETE, PRUNED, FAIL; INTERRUPTED while nobody works on it
PATH = "path"  # of a study or trial: the titles of the runs above it and its own, joined by "/"
SETTING = "setting"  # a run's title without its seed: runs of one setting differ in their seed alone
HASH, PAIR_TITLE, PROTOCOL, DATA_FINGERPRINT = "hash", "pair_title", "protocol", "data_fingerprint"
SELECTION = "selection"  # of a table or a study: how its numbers were chosen
COMMIT, DIRTY, COMMAND, HARDWARE, VERSIONS = "git_commit", "git_dirty", "command", "hardware", "versions"
DIFF = "git_diff"  # first 16 digits of the SHA-256 of changes.patch
PROGRAM = "program"  # how it was computed: alone, or together with others as one program
FOREIGN_SOURCE = "foreign_source"  # digest of the modules from outside the repository that it names
VERDICT, VERDICT_SENTENCE = "verdict", "verdict_sentence"  # the doctor's, before the first step
NOTE = "mlflow.note.content"  # the description that MLflow shows, in Markdown
HEALTH = "health"  # at the end: healthy, or the faults by name; the whole report is the run's description


def search_of(name: str) -> str:
    """The MLflow experiment of the runs that a table of this name chooses by."""
    return f"{name}_search"


def runs_root() -> Path:
    """Where runs are recorded: `GRL_RUNS` if set, else `results/runs` in the checkout."""
    chosen = os.environ.get("GRL_RUNS")
    return _resolve(chosen) if chosen else RESULTS / "runs"


@cache
def _resolve(path: str) -> Path:
    if "?" in path:
        raise BadInput(f"GRL_RUNS must be a folder without ? in its path, where an MLflow address ends, got {path!r}")
    return Path(path).expanduser().resolve()


def tracking_uri() -> str:
    """Where MLflow keeps its runs: `MLFLOW_TRACKING_URI` if set, else a sqlite file beside the runs."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{runs_root() / 'mlflow.db'}"


def sqlite_path() -> Path | None:
    """The file of the tracking store, if it is one of SQLite."""
    scheme, _, rest = tracking_uri().partition(":///")
    return Path(rest.split("?")[0]) if scheme == "sqlite" else None


def shown_uri() -> str:
    """The tracking URI as it may be printed and kept: without user, password and the values of its query."""
    return re.sub(r"(?<=[?&])([^=&]*)=[^&]*", r"\1=…", re.sub(r"(?<=://).*@", "", tracking_uri()))


def redact(text: str) -> str:
    """`text` without what the tracking URI holds back, however it got there."""
    uri = tracking_uri()
    text = text.replace(uri, shown_uri())
    secrets = re.findall(r"://(.*)@", uri) + re.findall(r"[?&][^=&]*=([^&]*)", uri)
    secrets += [secret.partition(":")[2] for secret in secrets]
    for secret in sorted({*secrets, *map(unquote, secrets)} - {""}, key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def artifact_root() -> str | None:
    """Where a new MLflow experiment keeps its files; a server decides that for itself."""
    return None if tracking_uri().startswith("http") else (runs_root() / "artifacts").as_uri()
