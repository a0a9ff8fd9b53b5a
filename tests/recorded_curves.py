"""A run's curves as recorded and as MLflow has them, to be compared: equal means no point lost and none doubled."""

from experiments import record
from experiments.recording import folder_of, read_json, read_points


def curves_of(client, run_id) -> dict[str, list[tuple[int, float]]]:
    names = client.get_run(run_id).data.metrics
    return {name: [(m.step, m.value) for m in client.get_metric_history(run_id, name)] for name in names}


def recorded_curves(experiment) -> dict[str, list[tuple[int, float]]]:
    curves = {}
    for point in read_points(folder_of(experiment)):
        for name, value in point["values"].items():
            curves.setdefault(name, []).append((point["step"], value))
    for name, value in (read_json(folder_of(experiment) / record.RESULT) or {"metrics": {}})["metrics"].items():
        curves[name] = [(0, value)]
    return curves
