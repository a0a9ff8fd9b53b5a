"""Made-up recorded runs: as the frame that `read_runs` returns, and written into an MLflow store."""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from experiments import record

STEPS = 100


def describe_run(
    pair: str, method: str, seed: int, target: float, *, source: float = 0.9, title: str | None = None, **params: str
) -> dict[str, dict]:
    """Params, metrics and tags of one run, as a training records them; `params` replace or add."""
    adversarial = method not in ("source_only", "target_only")
    fields = {"pair": pair, "method": method, "seed": str(seed), "steps": str(STEPS), "network": "tiny"}
    fields |= {"selection": "last", "alpha": "Ganin" if adversarial else "None"}
    fields |= {"alpha.gamma": "10.0"} if adversarial else {}
    metrics = {record.SELECTED_TARGET_ACCURACY: target, record.SELECTED_SOURCE_ACCURACY: source}
    metrics |= {record.PROXY_A_DISTANCE: 1.5} | ({record.DOMAIN_LOSS: 0.69} if adversarial else {})
    tags = {
        record.KIND: "run",
        record.PAIR_TITLE: title or pair.replace("_to_", " → "),
        record.PROTOCOL: "inductive",
        record.DATA_FINGERPRINT: "f00d",
        record.COMMIT: "0123456789abcdef",
        record.DIRTY: "false",
        record.HARDWARE: "a processor, cpu",
        record.COMMAND: "python -m experiments run toy",
    }
    return {"params": fields | params, "metrics": metrics, "tags": tags}


def frame(*descriptions: dict[str, dict]) -> pd.DataFrame:
    """The runs as `read_runs` returns them, with the ids run0, run1, ..."""
    rows = {}
    for number, run in enumerate(descriptions):
        day = pd.Timestamp("2026-01-02", tz="UTC")
        rows[f"run{number}"] = {"start": day, "end": day} | {
            f"{kind}.{name}": value
            for kind, values in (("param", run["params"]), ("metric", run["metrics"]), ("tag", run["tags"]))
            for name, value in values.items()
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def make_curves(target: float, *, adversarial: bool) -> pd.DataFrame:
    """Three evaluations of one run; target accuracy rises to `target`."""
    rows = []
    for step in (20, 60, STEPS):
        values = {record.TARGET_ACCURACY: target * step / STEPS, record.SOURCE_ACCURACY: 0.9, record.LR: 1 / step}
        values |= {record.LABEL_LOSS: 1 / step}
        values |= {record.ALPHA: step / STEPS, record.DOMAIN_LOSS: math.log(2)} if adversarial else {}
        rows += [(step, metric, value) for metric, value in values.items()]
    return pd.DataFrame(rows, columns=["step", "metric", "value"])


def make_features(count: int = 40, width: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """Features (count, width) of three classes in two domains, source first."""
    random = np.random.default_rng(seed)
    return {
        "features": random.normal(size=(count, width)).astype(np.float32),
        "labels": random.integers(3, size=count),
        "domain_labels": (np.arange(count) >= count // 2).astype(np.int64),
    }


def write_run(client, experiment_id: str, description: dict[str, dict], folder: Path, **options) -> str:
    """Write one run; options: status, start_ms, curves and features (False for none, bytes for exactly these)."""
    from mlflow.entities import Metric, Param

    start = options.get("start_ms", 1_767_312_000_000)
    run_id = client.create_run(experiment_id, start_time=start, tags=description["tags"]).info.run_id
    client.log_batch(
        run_id,
        metrics=[Metric(name, value, start, 0) for name, value in description["metrics"].items()],
        params=[Param(name, value) for name, value in description["params"].items()],
    )
    method, target = description["params"]["method"], description["metrics"][record.SELECTED_TARGET_ACCURACY]
    curves, features = folder / record.CURVES, folder / record.FEATURES
    make_curves(target, adversarial=method == "dann").to_parquet(curves)
    np.savez(features, **make_features(seed=int(description["params"]["seed"])))
    for path, wanted in ((curves, options.get("curves", True)), (features, options.get("features", True))):
        if isinstance(wanted, bytes):
            path.write_bytes(wanted)
        if wanted:
            client.log_artifact(run_id, str(path))
    status = options.get("status", "FINISHED")
    if status != "RUNNING":
        client.set_terminated(run_id, status, start + 1000)
    return run_id
