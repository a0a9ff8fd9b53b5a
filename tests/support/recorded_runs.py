"""Made-up recorded runs: as the frame that `read_runs` returns, and written into an MLflow store."""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.record import names
from experiments.validators import score_all
from results.cells import name_cells
from results.provenance import read_provenance
from results.selecting import at_step, report_last

STEPS = 100
EVALUATED = (20, 60, STEPS)


def describe_run(
    pair: str, method: str, seed: int, target: float, *, source: float = 0.9, title: str | None = None, **params: str
) -> dict[str, dict]:
    """Params, metrics and tags of one run, as a training records them; `params` replace or add."""
    adversarial = method not in ("source_only", "target_only")
    fields = {"pair": pair, "method": method, "seed": str(seed), "steps": str(STEPS), "network": "tiny"}
    fields |= {"method.alpha": "Ganin", "method.alpha.gamma": "10.0"} if adversarial else {}
    metrics = {names.TARGET_ACCURACY: target, names.SOURCE_ACCURACY: source, names.PROXY_A_DISTANCE: 1.5}
    metrics |= {names.DOMAIN_LOSS: 0.69} if adversarial else {}
    tags = {
        names.KIND: "run",
        names.PAIR_TITLE: title or pair.replace("_to_", " → "),
        names.PROTOCOL: "inductive",
        names.DATA_FINGERPRINT: "f00d",
        names.COMMIT: "0123456789abcdef",
        names.DIRTY: "false",
        names.HARDWARE: "a processor, 2 cores, cpu",
        names.VERSIONS: "python 3.11.7, torch 2.13.0, numpy 2.4.6",
        names.COMMAND: "python -m experiments run toy",
    }
    return {"params": fields | params, "metrics": metrics, "tags": tags}


def describe_table(targets: dict[str, tuple[float, ...]], pair: str = "a_to_b", **params: str) -> list[dict[str, dict]]:
    """Runs of one pair: method -> target accuracies of seeds 0, 1, ..."""
    return [
        describe_run(pair, method, seed, target, **params)
        for method, values in targets.items()
        for seed, target in enumerate(values)
    ]


def frame(*descriptions: dict[str, dict], status: str = "finished") -> pd.DataFrame:
    """The runs as `read_runs` returns them, with the ids run0, run1, ..."""
    rows = {}
    for number, run in enumerate(descriptions):
        day = pd.Timestamp("2026-01-02", tz="UTC")
        rows[f"run{number}"] = {"start": day, "end": day, "artifacts": "", "status": run.get("status", status)} | {
            f"{kind}.{name}": value
            for kind, values in (("param", run["params"]), ("metric", run["metrics"]), ("tag", run["tags"]))
            for name, value in values.items()
        }
    runs = pd.DataFrame.from_dict(rows, orient="index")
    return runs.join(read_provenance(runs))


def report(*descriptions: dict[str, dict]) -> pd.DataFrame:
    """The runs with their cells named and the numbers of their last step."""
    return report_last(name_cells(frame(*descriptions)))


def make_curves(target: float, *, adversarial: bool, seed: int = 0) -> pd.DataFrame:
    """Three evaluations of one run; target accuracy rises to `target`."""
    rows = []
    evaluations = make_evaluations(seed=seed)
    for step in EVALUATED:
        values = {names.TARGET_ACCURACY: target * step / STEPS, names.SOURCE_ACCURACY: 0.9, names.LR: 1 / step}
        values |= {names.TARGET_VALIDATION_ACCURACY: 0.5 - abs(step - 60) / STEPS}
        values |= {names.TARGET_REST_ACCURACY: target * step / STEPS}
        values |= {names.LABEL_LOSS: 1 / step} | score_all(at_step(evaluations, step))
        values |= {names.ALPHA: step / STEPS, names.DOMAIN_LOSS: math.log(2)} if adversarial else {}
        rows += [(step, metric, value) for metric, value in values.items()]
    return pd.DataFrame(rows, columns=["step", "metric", "value"])


def make_features(count: int = 40, width: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """One evaluation: features (count, width), largest spread first, of three classes in two domains, source first."""
    random = np.random.default_rng(seed)
    return {
        names.FEATURES: random.normal(size=(count, width)).astype(np.float16),
        names.LABELS: random.integers(3, size=count),
        names.DOMAIN_LABELS: (np.arange(count) >= count // 2).astype(np.int64),
    }


def make_evaluations(seed: int = 0, best: int = 60) -> dict[str, np.ndarray]:
    """What a run leaves for validators, three evaluations; the predictions are sure and varied at step `best` only.

    Nearly all of the features' variance lies in the first two dimensions.
    """
    random = np.random.default_rng(seed)
    labels = random.integers(3, size=30)
    sure = np.array([10.0 if step == best else 0.1 for step in EVALUATED])
    logits = (np.eye(3)[labels] * sure[:, None, None]).astype(np.float32)
    features = [make_features(seed=seed + number) for number in range(3)]
    return features[0] | {
        names.STEPS: np.array(EVALUATED),
        names.FEATURES: np.stack([each[names.FEATURES] * np.float16([4, 2, 0.2, 0.1]) for each in features]),
        names.TARGET_LOGITS: logits,
        names.SOURCE_LOGITS: logits,
        names.SOURCE_LABELS: labels,
        names.MIXED_LOGITS: logits[:, ::2],
        names.CLASS_COSINES: np.stack([np.eye(3)] * 3),
        **{name: random.normal(size=(3, 30, 4)) for name in (names.TRAINING_FEATURES, names.TARGET_FEATURES)},
        names.SOURCE_FEATURES: random.normal(size=(3, 30, 4)),
    }


def make_shown(classes: int = 3, images: int = 5) -> dict[str, np.ndarray]:
    """What figures alone read, three evaluations: confusions, answers and images of the target test split, a plane."""
    random, steps = np.random.default_rng(0), len(EVALUATED)
    axes = np.linspace(-1, 1, 9)
    x, y = np.meshgrid(axes, axes)
    return {
        names.TARGET_CONFUSION: random.integers(0, 9, (steps, classes, classes)) + 20 * np.eye(classes, dtype=int),
        names.TARGET_RIGHT: random.integers(0, 256, (steps, 5), dtype=np.uint8),
        names.SHOWN_IMAGES: random.integers(0, 256, (images, 8, 8, 3), dtype=np.uint8),
        names.SHOWN_LABELS: np.arange(images) % classes,
        names.SHOWN_LOGITS: random.normal(size=(steps, images, classes)).astype(np.float16),
        names.PLANE_AXES: np.stack([axes, axes]),
        names.PLANE_INPUTS: random.uniform(-1, 1, (40, 2)),
        names.PLANE_LABELS: np.stack([x, -x], -1).astype(np.float16),
        names.PLANE_DOMAIN: y.astype(np.float16),
        names.PLANE_LINES: np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    }


def write_run(client, experiment_id: str, description: dict[str, dict], folder: Path, **options) -> str:
    """Write one run; options: status, start_ms, curves and evaluations (False for none, bytes for exactly these)."""
    from mlflow.entities import Metric, Param

    start = options.get("start_ms", 1_767_312_000_000)
    run_id = client.create_run(experiment_id, start_time=start, tags=description["tags"]).info.run_id
    client.log_batch(
        run_id,
        metrics=[Metric(name, value, start, 0) for name, value in description["metrics"].items()],
        params=[Param(name, value) for name, value in description["params"].items()],
    )
    method, target = description["params"]["method"], description["metrics"][names.TARGET_ACCURACY]
    seed = int(description["params"]["seed"])
    curves, evaluations = folder / names.CURVES, folder / names.EVALUATIONS
    make_curves(target, adversarial=method == "dann", seed=seed).to_parquet(curves)
    np.savez(evaluations, **make_evaluations(seed))  # type: ignore[arg-type]
    for path, wanted in ((curves, options.get("curves", True)), (evaluations, options.get("evaluations", True))):
        if isinstance(wanted, bytes):
            path.write_bytes(wanted)
        if wanted:
            client.log_artifact(run_id, str(path))
    status = options.get("status", "FINISHED")
    if status != "RUNNING":
        client.set_terminated(run_id, status, start + 1000)
    return run_id
