"""A run as MLflow is to have it, put together from its folder."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.record import names
from experiments.record.files import read_json
from experiments.record.folder import read_points

ARTIFACTS = (names.CURVES, names.EVALUATIONS, names.CHANGES)


@dataclass(frozen=True)
class Whole:
    """Everything of a run that MLflow is to have, as far as it is recorded.

    Attributes:
        points: Of the curves, those that are final.
        metrics: The single numbers of a finished run; empty before.
        datasets: Fields of `mlflow.entities.Dataset`, one of each split that it is trained on.
        files: What is kept as artifacts; empty while it runs.
    """

    hash: str
    title: str
    status: str
    started_ms: int
    ended_ms: int
    params: dict[str, str]
    tags: dict[str, str]
    points: list[dict[str, Any]]
    metrics: dict[str, float]
    datasets: list[dict[str, str]]
    files: list[Path]

    def numbers(self, first_point: int = 0) -> list[tuple[int, int, str, float]]:
        """Step, time in ms, name and value of every number from a point of the curves on."""
        curves = [
            (point["step"], point["time_ms"], name, float(value))
            for point in self.points[first_point:]
            for name, value in point["values"].items()
        ]
        return curves + [(0, self.ended_ms, name, float(value)) for name, value in self.metrics.items()]

    def tags_of_mlflow(self, parent: str | None) -> dict[str, str]:
        """What MLflow shows in its columns Source and Version, groups by, and the run above."""
        return {
            names.SETTING: re.sub(r"\bs\d+ ", "", self.title, count=1),
            "mlflow.source.name": self.tags.get(names.COMMAND, "unknown"),
            "mlflow.source.type": "LOCAL",
            "mlflow.source.git.commit": self.tags.get(names.COMMIT, "unknown"),
        } | ({"mlflow.parentRunId": parent} if parent else {})


def escape(text: str) -> str:
    """The same text where Markdown and the HTML inside it would read marks."""
    return re.sub(r"([\\`*_|\[\]])", r"\\\1", text).replace("<", "&lt;")


def describe_whole(folder: Path, description: dict[str, Any], status: dict[str, Any]) -> Whole:
    """Read what there is in the folder.

    Raises:
        BadInput: a file cannot be used.
    """
    tags = description["tags"] | ({"message": status["message"]} if status["message"] else {})
    # MLflow's list shows some 22 letters of a name: the seed is to be among them.
    title = re.sub(r"\bseed (\d+)", r"s\1", description["title"], count=1)
    note = _describe(description["hash"], title, tags)
    is_finished = status["status"] == "FINISHED"
    result = read_json(folder / names.RESULT, needs=("metrics", "weights_sha256")) if is_finished else None
    if result is not None:
        tags["weights_sha256"] = result["weights_sha256"]
        if health := result.get("health"):  # results of an earlier version have none
            tags[names.HEALTH] = health["status"]
            note += f"\n\n{health['report']}"
    return Whole(
        hash=description["hash"],
        title=title,
        status=status["status"],
        started_ms=description["started_ms"],
        ended_ms=status["time_ms"],
        params=description["params"],
        tags=tags | {names.NOTE: note},
        points=read_points(folder),
        metrics=result["metrics"] if result else {},
        datasets=[_describe_input(description, dataset) for dataset in description.get("datasets", [])],
        files=[]
        if status["status"] == "RUNNING"
        else [folder / name for name in ARTIFACTS if (folder / name).is_file()],
    )


def _describe(hash: str, title: str, tags: dict[str, str]) -> str:
    # What the run is and how it was made, in Markdown.
    shown = {name: tags[name] for name in (names.PAIR_TITLE, names.PROTOCOL) if name in tags}
    lines = [f"**{escape(shown.get(names.PAIR_TITLE, ''))}** `{title}`", ""]
    lines += [f"- protocol: {escape(shown[names.PROTOCOL])}"] if names.PROTOCOL in shown else []
    lines += [f"- trained by `{tags[names.COMMAND]}`"] if names.COMMAND in tags else []
    lines += [f"- again as it was: `python -m experiments run {hash}`"]
    return "\n".join(lines)


def _describe_input(description: dict[str, Any], dataset: dict[str, Any]) -> dict[str, str]:
    # A training split as MLflow shows it in the column Dataset and on the run's page.
    role = "target with labels" if dataset["role"] == "target" and dataset["labels"] else dataset["role"]
    schema = [{"type": "tensor", "tensor-spec": {"dtype": dataset["dtype"], "shape": [-1, *dataset["shape"]]}}]
    loaded = f"datasets.load_pair({description['params'].get('pair')!r})"
    return {
        "name": f"{dataset['domain']}, {role}",
        "digest": description["tags"].get(names.DATA_FINGERPRINT, "unknown")[:8],  # as long as MLflow's own
        "source_type": "code",
        "source": json.dumps({"tags": {"mlflow.source.name": loaded}}),
        "schema": json.dumps({"mlflow_tensorspec": {"features": json.dumps(schema), "targets": None}}),
        "profile": json.dumps({"num_rows": dataset["count"]}),
    }
