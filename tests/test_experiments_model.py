import warnings

import numpy as np
import pytest
import torch

from datasets import load_pair, one_pass
from experiments.__main__ import main
from experiments.errors import BadInput, run_command
from experiments.methods.dann import DANN
from experiments.networks import build_networks
from experiments.networks.cnn import CNN
from experiments.networks.mnist import MnistModern
from experiments.record import names
from experiments.record.delivery import Destination, address
from experiments.record.files import read_json, write_json
from experiments.record.folder import folder_of
from experiments.work.model import Model, load_model, log_model
from experiments.work.run import train_runs
from tests.support.recorded_curves import curves_of, recorded_curves
from tests.support.small_runs import image_pair, small_moons

TOY = Destination("toy")


@pytest.mark.parametrize("method", ["source_only", "dann", "target_only"])
def test_the_model_of_raw_inputs_has_the_accuracy_that_was_recorded(runs, method):
    experiment = small_moons(method=method)
    train_runs([experiment])
    model, pair = load_model(folder_of(experiment.hash))
    test = pair.evaluation.target_test
    with torch.inference_mode():
        accuracy = (model(test.inputs).argmax(1) == test.labels).float().mean().item()
    last = read_json(folder_of(experiment.hash) / names.RESULT)["last"]
    assert accuracy == pytest.approx(last[names.TARGET_ACCURACY], abs=1e-6)


def test_the_model_takes_images_as_they_are_stored():
    networks = build_networks(MnistModern(), DANN().heads, shape=(3, 28, 28), classes=3, seed=0).eval()
    split, mean = image_pair().evaluation.target_test, torch.tensor([0.1, 0.2, 0.3])
    [batch] = one_pass(split, len(split), mean=mean)
    with torch.inference_mode():
        torch.testing.assert_close(Model(networks, mean)(split.inputs), networks.predict(batch.inputs)[1])


def test_the_model_of_a_cropped_run_cuts_as_its_evaluations_do():
    networks = build_networks(CNN(), DANN().heads, shape=(3, 21, 21), classes=3, seed=0).eval()
    split, mean = image_pair().evaluation.target_test, torch.tensor([0.1, 0.2, 0.3])
    [batch] = one_pass(split, len(split), mean=mean, crop=21)
    with torch.inference_mode():
        torch.testing.assert_close(Model(networks, mean, 21)(split.inputs), networks.predict(batch.inputs)[1])


def test_mlflow_serves_the_model_without_pickle_and_counts_nothing_twice(client, capsys):
    experiment = small_moons()
    train_runs([experiment])
    for name in ("toy", "twin"):
        address(folder_of(experiment.hash), Destination(name))
    for _ in range(2):
        assert run_command(main, ["log-model", experiment.hash]) == 0
    assert capsys.readouterr().out == f"MLflow has the model of run {experiment.hash} in toy, twin\n" * 2
    for name in ("toy", "twin"):
        experiment_id = client.get_experiment_by_name(name).experiment_id
        [found], [kept] = client.search_runs([experiment_id]), client.search_logged_models([experiment_id])
        assert [each.model_id for each in found.outputs.model_outputs] == [kept.model_id]
        assert (kept.status, kept.source_run_id, kept.params) == ("READY", found.info.run_id, found.data.params)
        assert curves_of(client, found.info.run_id) == recorded_curves(experiment)

    folder = names.runs_root() / "artifacts" / "models" / kept.model_id / "artifacts"
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pth", ".pt")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's own code
        from mlflow.pyfunc import load_model as load_served

        served = load_served(str(folder))
    test = load_pair("moons").evaluation.target_test
    model, _ = load_model(folder_of(experiment.hash))
    with torch.inference_mode():
        np.testing.assert_allclose(
            served.predict(test.inputs.numpy()), model(test.inputs).numpy(), rtol=1e-5, atol=1e-6
        )
    assert [spec.shape for spec in (*served.metadata.signature.inputs, *served.metadata.signature.outputs)] == [
        (-1, 2),
        (-1, 2),
    ]


def test_what_has_no_model_is_said(client, capsys):
    experiment = small_moons()
    assert run_command(main, ["log-model", "no_such_run"]) == 2
    assert "error: there is no run no_such_run in" in capsys.readouterr().err
    assert run_command(main, ["log-model"]) == 2
    assert "error: log-model needs the hash of one run" in capsys.readouterr().err
    train_runs([experiment])
    folder = folder_of(experiment.hash)
    with pytest.raises(BadInput, match=f"^run {experiment.hash} belongs to no experiment of MLflow store sqlite"):
        log_model(folder)
    description, status = read_json(folder / names.RUN), read_json(folder / names.STATUS)
    write_json(folder / names.STATUS, status | {"status": "KILLED"})
    with pytest.raises(BadInput, match=f"^run {experiment.hash} is KILLED; only a FINISHED run has a model$"):
        load_model(folder)
    write_json(folder / names.STATUS, status)
    write_json(folder / names.RUN, description | {"tags": description["tags"] | {names.DATA_FINGERPRINT: "0" * 64}})
    with pytest.raises(BadInput, match="was trained on other data than pair moons has now"):
        load_model(folder)
    assert client.search_logged_models(["0"]) == []
