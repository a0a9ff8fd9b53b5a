"""A finished run's networks as one model of raw inputs, kept in MLflow with its signature and without pickle."""

import json
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from datasets import DomainPair
from experiments.errors import BadInput
from experiments.networks import Networks
from experiments.record import names
from experiments.record.delivery import deliver, read_deliveries
from experiments.record.store import Unreachable, first_line, open_client
from experiments.work.pairs import load_networks, open_pair, read_experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXAMPLES = 4  # more than one: an exported graph takes any number of inputs only if its example is a batch


class Model(nn.Module):
    """Label logits (N, C) of inputs as a data set holds them: uint8 images (N, H, W, C) or float32 features (N, D)."""

    mean: Tensor

    def __init__(self, networks: Networks, mean: Tensor, crop: int | None = None):
        super().__init__()
        self.crop = crop
        self.feature_extractor = networks.feature_extractor
        self.label_predictor = networks.label_predictor
        self.register_buffer("mean", mean)
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        if self.crop is not None:  # the central square, as in an evaluation
            top, left = ((size - self.crop) // 2 for size in inputs.shape[1:3])
            inputs = inputs[:, top : top + self.crop, left : left + self.crop]
        if inputs.dtype == torch.uint8:
            inputs = (inputs.float() / 255 - self.mean).movedim(-1, 1)
        else:
            inputs = inputs - self.mean
        return self.label_predictor(self.feature_extractor(inputs))


def load_model(folder: Path) -> tuple[Model, DomainPair]:
    """The final networks of the finished run in `folder`, and the pair they were trained on.

    Raises:
        BadInput: there is no such run, it is not finished, or the pair's data are not those that it was trained on.
    """
    experiment = read_experiment(folder)
    pair = open_pair(experiment)
    mean = experiment.method.mean_of_inputs(pair)
    return Model(load_networks(folder, experiment, pair), mean, experiment.augment.crop), pair


def log_model(folder: Path) -> list[str]:
    """Keep the model of the run in `folder` with each of its runs in MLflow that has none yet.

    Returns:
        The names of the MLflow experiments that have it.

    Raises:
        BadInput: as `load_model`, or the run belongs to no MLflow experiment of this store.
        Unreachable: the store did not take the run or the model.
    """
    model, pair = load_model(folder)
    client = open_client()
    deliver(client, folder)
    logged: list[str] = []
    for key, delivery in read_deliveries(folder).items():
        uri, experiment, *_ = json.loads(key)
        if uri == names.shown_uri():
            try:
                _log_one(client, model, pair.target.inputs[:EXAMPLES], delivery["run_id"])
            except Exception as error:
                raise Unreachable(
                    f"MLflow store {uri} did not take the model of run {folder.name}: {first_line(error)}"
                ) from error
            logged.append(experiment)
    if not logged:
        raise BadInput(f"run {folder.name} belongs to no experiment of MLflow store {names.shown_uri()}")
    return logged


def _log_one(client: "MlflowClient", model: Model, example: Tensor, run_id: str) -> None:
    run = client.get_run(run_id)
    if run.outputs and run.outputs.model_outputs:
        return
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's own code
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus
        from mlflow.models import Model as Description
        from mlflow.models import infer_signature
        from mlflow.pytorch import save_model

        with torch.inference_mode():
            logits = model(example)
        # In steps, because mlflow.pytorch.log_model would choose the store and the experiment by global state.
        kept = client.create_logged_model(
            run.info.experiment_id, "model", source_run_id=run_id, params=run.data.params, model_type="classifier"
        )
        save_model(
            model,
            f"{temporary}/model",
            mlflow_model=Description(kept.artifact_location, run_id, model_uuid=kept.model_id, model_id=kept.model_id),
            signature=infer_signature(example.numpy(), logits.numpy()),
            input_example=example.numpy(),
            pip_requirements=[f"torch=={torch.__version__.split('+')[0]}"],
            serialization_format="pt2",  # the traced graph: no pickle, and no code of this checkout needed to load it
        )
        client.log_model_artifacts(kept.model_id, f"{temporary}/model")
        client.finalize_logged_model(kept.model_id, LoggedModelStatus.READY)
        # Last: a model that broke off on the way is not taken for the run's.
        client.log_outputs(run_id, [LoggedModelOutput(kept.model_id, step=0)])
