"""A run's curves as recorded and as MLflow has them, to be compared: equal means no point lost and none doubled."""

from experiments.record import names
from experiments.record.files import read_json
from experiments.record.folder import folder_of, read_points


def curves_of(client, run_id) -> dict[str, list[tuple[int, float]]]:
    metrics = client.get_run(run_id).data.metrics
    return {name: [(m.step, m.value) for m in client.get_metric_history(run_id, name)] for name in metrics}


def recorded_curves(experiment) -> dict[str, list[tuple[int, float]]]:
    folder, curves = folder_of(experiment.hash), {}
    for point in read_points(folder):
        for name, value in point["values"].items():
            curves.setdefault(name, []).append((point["step"], value))
    for name, value in (read_json(folder / names.RESULT) or {"metrics": {}})["metrics"].items():
        curves[name] = [(0, value)]
    return curves
