"""What an experiment of ours shows in MLflow's pages: its kind, a description, and a view with columns that matter.

The view is one of those that users save under "Views" of the run list: a tag of the experiment that its pages read.
"""

import json
import time

VIEW = "hma-results"  # `#/experiments/ID/runs?viewStateShareKey=hma-results`
VIEW_NAME = "Results: test accuracy first"
METRICS = (
    *("test/top1", "best/val/top1", "test/mean_per_class", "test/nll"),
    *("params/trainable", "time/from_nothing_s", "time/images_per_s"),
)
PARAMS = ("method.name", "model.short_name", "seed", "optimizer.lr")
_DESCRIPTION = f"""Runs of one data set. **Views > {VIEW_NAME}** shows the columns to compare by.

`test/*` are the figures of the weights that val chose, in the headline inference mode (tag `result.inference`);
`best/val/*` are theirs on val. `train/*` and `val/*` are curves over steps. A sweep is the parent of its trials.
"""


def experiment_tags() -> dict[str, str]:
    """Tags of a new experiment."""
    created = round(time.time() * 1000)
    state = {
        "selectedColumns": [f"params.`{name}`" for name in PARAMS] + [f"metrics.`{name}`" for name in METRICS],
        "orderByKey": "metrics.`test/top1`",
        "orderByAsc": False,
    }
    view = {"name": VIEW_NAME, "createdAt": created, "updatedAt": created, "state": json.dumps(state)}
    return {
        "mlflow.experimentKind": "custom_model_development",  # pages of training, not of language models
        "mlflow.note.content": _DESCRIPTION,
        f"mlflow.sharedViewState.{VIEW}": json.dumps(view),
    }
