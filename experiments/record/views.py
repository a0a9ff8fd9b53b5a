"""Saved views of MLflow's list of runs: the columns that matter, and the mean over seeds, a click away.

MLflow 3.17 keeps a view as a tag of the experiment, the state of its page as compressed JSON; a version that keeps it
otherwise shows none of these.
"""

import base64
import json
import zlib
from typing import Any

from experiments.record import names

_METRICS = (names.TARGET_ACCURACY, names.SOURCE_ACCURACY, names.DOMAIN_LOSS, names.PROXY_A_DISTANCE)
_COLUMNS = [f"metrics.`{name}`" for name in _METRICS] + ["params.`method`", "params.`pair`", "params.`seed`"]
_PAGE: dict[str, Any] = {
    "searchFilter": f"tags.{names.KIND} = 'run'",
    "orderByKey": "attributes.start_time",
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "datasetsFilter": [],
    "modelVersionFilter": "All Runs",
    "selectedColumns": _COLUMNS,
    "columnOrder": [],
    "columnWidths": {},
    "runsHiddenMode": "FIRST_20_RUNS",
    "viewMaximized": False,
    "runListHidden": False,
    "isAccordionReordered": False,
    "useGroupedValuesInCharts": True,
    "hideEmptyCharts": True,
    "groupBy": None,
    "groupsExpanded": {},
    "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
}
_BY_SETTING = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": names.SETTING}]}
_MEANS = {"groupBy": _BY_SETTING, "orderByKey": f"metrics.`{names.TARGET_ACCURACY}`"}
VIEWS: dict[str, dict[str, Any]] = {
    "every run": {},
    "mean over seeds": _MEANS,
    "pick what to compare": _MEANS | {"runsHiddenMode": "HIDE_ALL"},  # charts show what is then picked
}


def describe_views() -> dict[str, str]:
    """The tags of an MLflow experiment that offer `VIEWS`."""
    return dict(_pack(name, place, changes) for place, (name, changes) in enumerate(VIEWS.items()))


def describe_trials_view(objective: str) -> tuple[str, str]:
    """The tag of a sweep's experiment that offers its trials, by the metric that chooses, with what they suggest.

    The page nests runs only while it sorts them by their begin; nested, its charts show the study alone.
    """
    shown = dict.fromkeys((objective, names.TARGET_ACCURACY, names.SOURCE_ACCURACY))
    changes = {
        "searchFilter": f"tags.{names.KIND} = 'trial'",
        "orderByKey": f"metrics.`{objective}`",
        "selectedColumns": [*(f"metrics.`{name}`" for name in shown), "params.`method.alpha`", "tags.`state`"],
    }
    return _pack("trials", len(VIEWS), changes)


def _pack(name: str, place: int, changes: dict[str, Any]) -> tuple[str, str]:
    packed = base64.b64encode(zlib.compress(json.dumps(_PAGE | changes).encode())).decode()
    view = {"name": name, "createdAt": place, "updatedAt": place, "state": f"deflate;{packed}"}
    return f"mlflow.sharedViewState.{name.replace(' ', '-')}", json.dumps(view)
