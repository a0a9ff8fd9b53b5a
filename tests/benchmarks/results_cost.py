"""What a table costs as its runs grow: seconds and memory of `python -m results build`, first with no figure.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.results_cost [COUNT ...]       # medians of three builds

One recorded run is multiplied inside a store of its own, by SQL: constant alphas of ten seeds each, and the anchors.
"""

import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import closing
from pathlib import Path
from statistics import median

from experiments.record import names
from experiments.record.store import open_client
from tests.support.recorded_runs import describe_run, write_run

SEEDS, REPEATS = 10, 3
IMPORTS = "import results.building; from experiments.record.store import open_client; open_client()"


def multiply(root: Path, count: int) -> None:
    """Fill a store with `count` finished runs of the experiment `grid`."""
    client = open_client()
    experiment = client.create_experiment("grid", artifact_location=(root / "artifacts").as_uri())
    with tempfile.TemporaryDirectory() as temporary:
        params = {f"optimiser.field{number}": "0.0" for number in range(20)}  # as many as a real run has
        run = describe_run("near_to_far", "dann", 0, 0.7, **params)
        write_run(client, experiment, run, Path(temporary))
    with closing(sqlite3.connect(root / "mlflow.db")) as store:
        [(first, address)] = store.execute("SELECT run_uuid, artifact_uri FROM runs").fetchall()
        folder = Path(address.removeprefix("file://"))
        tables = {
            table: [row[1] for row in store.execute(f"PRAGMA table_info({table})")]
            for table in ("runs", "params", "tags", "metrics", "latest_metrics")
        }
        rows = {
            table: store.execute(f"SELECT * FROM {table} WHERE run_uuid = ?", (first,)).fetchall() for table in tables
        }
        for number in range(1, count):
            run_id = uuid.uuid4().hex
            place = folder.parent.parent / run_id / "artifacts"
            place.mkdir(parents=True)
            for path in folder.iterdir():
                os.link(path, place / path.name)
            group, seed = divmod(number, SEEDS)
            method = {0: "source_only", 1: "target_only"}.get(group, "dann")
            own = {"method.alpha": "Constant", "method.alpha.gamma": str(group)} if method == "dann" else {}
            new = {"seed": str(seed), "method": method, **own}
            for table, columns in tables.items():
                for row in rows[table]:
                    value = dict(zip(columns, row, strict=True)) | {"run_uuid": run_id}
                    if table == "params" and value["key"].startswith("method.") and not own:
                        continue  # an anchor has no alpha
                    if table == "runs":
                        value["artifact_uri"] = place.as_uri()
                    elif table == "params" and value["key"] in new:
                        value["value"] = new[value["key"]]
                    elif "metrics" in table and value["key"] == names.TARGET_ACCURACY:
                        value["value"] = 0.5 + (number * 7919 % 1000) / 2500
                    marks = ", ".join("?" * len(columns))
                    store.execute(f"INSERT INTO {table} VALUES ({marks})", [value[column] for column in columns])
        store.commit()


def measure(*command: str) -> tuple[float, float, float]:
    """Seconds on the clock, seconds of the processor and the largest MB so far of one Python process."""
    began_s, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began_s, cpu_s, after.ru_maxrss / 1024


def main(*counts: str) -> None:
    print(f"{'runs':>6}  {'options':<40} {'seconds':>8} {'of CPU':>8} {'largest so far, MB':>20}")
    for count in map(int, counts or ("100", "1000", "10000")):
        with tempfile.TemporaryDirectory() as root:
            os.environ["GRL_RUNS"] = root
            os.environ.pop("MLFLOW_TRACKING_URI", None)
            multiply(Path(root), count)
            build = ("-m", "results", "build", "grid")
            for shown, command in (
                ("imports and an open store alone", ("-c", IMPORTS)),
                ("--figure none", (*build, "--figure", "none")),
                ("--figure curves", (*build, "--figure", "curves")),
                ("--selection nuclear_norm --figure none", (*build, "--selection", "nuclear_norm", "--figure", "none")),
            ):
                seconds, cpu_s, memory = map(median, zip(*(measure(*command) for _ in range(REPEATS)), strict=True))
                print(f"{count:>6}  {shown:<40} {seconds:>8.1f} {cpu_s:>8.1f} {memory:>20.0f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
