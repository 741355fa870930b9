"""The page of MLflow that compares the runs: a view saved with the experiment, and the address that opens it.

MLflow's own page has no metrics as columns and a chart for each of some hundred metrics. A saved view is a tag of the
experiment that MLflow's interface reads; people can change what they see without changing the view.
"""

import json
from typing import Any

from strokewise.registry.store import Store

VIEW_NAME = "strokewise"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_NAME}"
HEADLINE_METRICS = ("test/accuracy", "test/macro_f1", "test/log_loss", "drawings/accuracy", "paired/difference")
CURVES = {"loss": "Loss", "accuracy": "Accuracy"}  # of the training and validation paintings, an epoch a point
COLUMNS = (
    *("attributes.`Source`", "attributes.`Models`", "attributes.`Dataset`", "tags.`model`"),
    *(f"metrics.`{name}`" for name in HEADLINE_METRICS),
)


def runs_page(connection: Store) -> str:
    """The path of the page below a server's address; the view is saved first if the experiment lacks it."""
    experiment = connection.experiment()
    assert experiment is not None
    view = json.dumps(_view_state())
    if connection.client.get_experiment(experiment).tags.get(VIEW_TAG) != view:
        connection.client.set_experiment_tag(experiment, VIEW_TAG, view)
    return f"/#/experiments/{experiment}/runs?viewStateShareKey={VIEW_NAME}&compareRunsMode=CHART"


def _view_state() -> dict[str, Any]:
    """The state of MLflow's page of runs (MLflow 3): columns, sections and charts."""
    common = {"deleted": False, "isGenerated": False, "runsCountToCompare": 20}
    bars = [
        {**common, "type": "BAR", "uuid": name, "metricSectionId": "result", "metricKey": name}
        for name in HEADLINE_METRICS
    ]
    curves = [
        {
            **common,
            "type": "LINE",
            "uuid": f"curve-{name}",
            "metricSectionId": "curves",
            "metricKey": f"validation/{name}",
            "selectedMetricKeys": [f"train/{name}", f"validation/{name}"],
            "displayName": f"{title} during training",
            "xAxisKey": "step",
            "xAxisScaleType": "linear",
            "scaleType": "linear",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
            "useGlobalXaxisKey": True,
            "useGlobalLineSmoothing": True,
            "ignoreOutliers": False,
            "displayPoints": None,
            "range": {"xMin": None, "xMax": None, "yMin": None, "yMax": None},
        }
        for name, title in CURVES.items()
    ]
    sections = {"result": "CNN and baseline", "curves": "Training"}
    return {
        "selectedColumns": COLUMNS,
        "compareRunCharts": bars + curves,
        "compareRunSections": [
            {"uuid": key, "name": name, "display": True, "isReordered": False} for key, name in sections.items()
        ],
        "isAccordionReordered": True,  # else MLflow sorts the sections by name, between its own
        "orderByKey": "metrics.`test/accuracy`",
        "orderByAsc": False,
    }
