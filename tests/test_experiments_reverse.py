"""Reverse and circular validation: runs that go back from the target to the source, and what is chosen by them."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from datasets import hold_out, load_pair
from experiments import __main__ as commands
from experiments.choosing import choose_reversed, score_reversed
from experiments.errors import BadInput, run_command
from experiments.experiment import reverse
from experiments.identity import origin_of
from experiments.launch import read_command
from experiments.optimisers import SGD
from experiments.record import names
from experiments.record.files import read_json
from experiments.record.folder import folder_of, is_finished, read_points
from experiments.training.evaluation import Samples, Taken
from experiments.training.machine import AUTOMATIC
from experiments.work.bundles import bundle
from experiments.work.done import is_done
from experiments.work.driver import Outcome
from experiments.work.model import load_model
from experiments.work.pairs import first_weights, open_pair
from experiments.work.run import train_runs
from grl.schedules import Constant
from tests.support.small_runs import after, small_moons


def held_out_moons(**changes):
    return small_moons(held_out=0.1, **changes)


def accuracies(experiment) -> dict[int, tuple[float, float]]:
    """Step -> accuracy on the validation split and on the target, as recorded."""
    points = [point for point in read_points(folder_of(experiment.hash)) if names.TARGET_ACCURACY in point["values"]]
    return {
        point["step"]: (point["values"]["source_validation_accuracy"], point["values"][names.TARGET_ACCURACY])
        for point in points
    }


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Three forward runs, the runs that reverse them, and one of these that learns nothing; all trained."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("reverse")
        patch.setenv("GRL_RUNS", str(root / "runs"))
        patch.setenv("GRL_PREPARED", str(root / "prepared"))
        forward = [held_out_moons(alpha=Constant(value=alpha)) for alpha in (0.0, 0.1, 1.0)]
        train_runs(forward)
        train_runs([reverse(each) for each in forward])
        yield forward


def test_the_pair_goes_back_with_the_labels_of_the_run(grid):
    forward = grid[1]
    model, _ = load_model(folder_of(forward.hash))
    there, back = open_pair(forward), open_pair(reverse(forward))
    for split, inputs in (
        (back.source, there.target.inputs),
        (back.evaluation.source_validation, there.evaluation.target_validation.inputs),
    ):
        assert torch.equal(split.inputs, inputs)
        with torch.no_grad():
            assert torch.equal(split.labels, model(inputs).argmax(1))
    assert torch.equal(back.target.inputs, there.source.inputs)
    assert not hasattr(back.target, "labels")
    measured = there.evaluation.source_validation
    assert torch.equal(back.evaluation.target_test.inputs, measured.inputs)
    assert torch.equal(back.evaluation.target_test.labels, measured.labels)
    # Of the true target labels nothing is reachable: all that has labels has those of the run, or the source's.
    assert torch.equal(back.reveal_target_labels("oracle").labels, there.source.labels)


def test_pairs_of_one_program_keep_their_inputs_once(grid):
    opened, taken = {}, Taken()
    pairs = [open_pair(reverse(forward), opened) for forward in grid]
    samples = [Samples(pair, pair.source.mean(), taken=taken) for pair in pairs]
    alone = [Samples(pair, pair.source.mean()) for pair in pairs]
    for name in ("source_test", "target_test", "unlabelled", "mixed", "training"):
        splits = [getattr(each, name) for each in samples]
        assert len({split.inputs.data_ptr() for split in splits}) == 1, name
        for split, expected in zip(splits, (getattr(each, name) for each in alone), strict=True):
            assert split.name == expected.name
            assert torch.equal(split.inputs, expected.inputs)
            assert torch.equal(split.labels, expected.labels)
    assert any(not torch.equal(samples[0].source_test.labels, each.source_test.labels) for each in samples)


def test_the_model_kept_is_that_of_the_best_step_on_what_was_held_out(grid):
    for forward in grid:
        seen = accuracies(forward)
        assert len(seen) == 3
        best = max(seen, key=lambda step: (seen[step][0], step))
        model, pair = load_model(folder_of(forward.hash))
        with torch.no_grad():
            for split, expected in zip(
                (pair.evaluation.source_validation, pair.evaluation.target_test), seen[best], strict=True
            ):
                accuracy = (model(split.inputs).argmax(1) == split.labels).float().mean().item()
                assert accuracy == pytest.approx(expected)


def test_the_best_way_back_is_chosen(grid):
    back = [reverse(each) for each in grid]
    assert len(bundle(back, AUTOMATIC)) == 1  # labels differ, and one program trains them
    scores = [score_reversed(each) for each in back]
    assert choose_reversed(grid) == grid[int(np.argmax(scores))]
    for there, score in zip(back, scores, strict=True):
        seen = accuracies(there)
        best = max(seen, key=lambda step: (seen[step][0], step))
        assert score == seen[best][1]


def test_a_reversed_run_begins_with_the_forward_model(grid):
    unmoved = dataclasses.replace(reverse(grid[0]), lr=Constant(value=0.0), steps=10)
    train_runs([unmoved])
    kept, begun = (torch.load(folder_of(e.hash) / names.MODEL, weights_only=True) for e in (grid[0], unmoved))
    assert all(torch.equal(kept[name], begun[name]) for name in kept)


def test_how_far_a_reversed_adversary_has_moved_is_counted_from_where_it_began(grid):
    unmoved = dataclasses.replace(reverse(grid[1]), lr=Constant(value=0.0), steps=10)
    [alone, together] = (dataclasses.replace(unmoved, optimiser=SGD(head_rate=rate)) for rate in (2.0, 1.0))
    train_runs([alone])
    train_runs([together])
    for each in (alone, together):
        assert read_json(folder_of(each.hash) / names.RESULT)["metrics"][names.ADVERSARY_MOVED] == 0.0


def test_a_pair_that_is_not_the_forward_runs_is_refused(grid):
    back = reverse(grid[0])
    message = r"is made of a run of pair moons with held_out 0.1, got pair moons_rotated with held_out 0.1"
    wrong = f"moons_rotated_reversed_{grid[0].hash}"
    with pytest.raises(BadInput, match=message):
        read_command("run", wrong, [])
    with pytest.raises(BadInput, match=message):
        open_pair(dataclasses.replace(back, pair=wrong))
    with pytest.raises(BadInput, match=r"held_out 0.1, got pair moons with held_out 0.3"):
        open_pair(dataclasses.replace(back, held_out=0.3))


def test_a_run_interrupted_and_alone_keeps_the_same_model(grid, tmp_path, monkeypatch):
    def outcomes() -> list[str]:
        results = [folder_of(each.hash) / names.RESULT for each in (grid[1], reverse(grid[1]))]
        return [result.read_text().split('"weights_sha256"')[1] for result in results]

    expected = outcomes()
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "again"))
    monkeypatch.setattr("experiments.work.checkpoint.EVERY_S", 0.0)
    for each in (grid[1], reverse(grid[1])):
        with pytest.raises(KeyboardInterrupt):
            train_runs([each], must_stop=after(25))
        train_runs([each])
    assert outcomes() == expected


def test_circular_validation_begins_anew_and_needs_nothing_held_out(runs):
    forward = small_moons(method="source_only")
    train_runs([forward])
    circular = reverse(forward, "circular")
    pair = open_pair(circular)
    assert torch.equal(pair.evaluation.target_test.labels, load_pair("moons").source.labels)
    assert first_weights(circular) is None
    train_runs([circular])
    assert 0 <= score_reversed(circular) <= 1
    with pytest.raises(BadInput, match=f"reverse validation needs a run with held_out > 0, got run {forward.hash}"):
        open_pair(reverse(forward))


def test_what_is_not_there_is_said(runs):
    forward = held_out_moons()
    with pytest.raises(BadInput, match=f"there is no run {forward.hash} in"):
        train_runs([reverse(forward)])
    with pytest.raises(BadInput, match="is not trained yet: python -m experiments run moons_reversed_"):
        choose_reversed([forward])
    with pytest.raises(BadInput, match="reverses no run"):
        score_reversed(forward)
    assert origin_of("a_to_b") == ("a_to_b", "", "")
    assert origin_of(reverse(forward).pair) == ("moons", "reversed", forward.hash)


def test_another_forward_model_makes_the_reversed_run_stale(grid, tmp_path, monkeypatch):
    shutil.copytree(folder_of(grid[0].hash).parent, tmp_path / "runs")
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "runs"))
    assert is_done(reverse(grid[0]))
    path = folder_of(grid[0].hash) / names.RESULT
    path.write_text(path.read_text().replace('"weights_sha256": "', '"weights_sha256": "0'))
    assert not is_done(reverse(grid[0]))


CHOOSING = '''
    import dataclasses

    from experiments.choosing import choose_reversed
    from experiments.experiment import reverse
    from experiments.methods.dann import DANN
    from experiments.recipes.moons import moons
    from grl.schedules import Constant


    def table(seeds: int = 2):
        """A recipe that chooses."""
        small = dataclasses.replace(moons(), held_out=0.1, steps=20, evaluate_every=10)
        grid = yield [dataclasses.replace(small, method=DANN(alpha=Constant(value=a))) for a in (0.0, 0.3)]
        yield [reverse(each) for each in grid]
        best = choose_reversed(grid)
        return [dataclasses.replace(best, seed=seed) for seed in range(seeds)]
'''


def test_a_recipe_chooses_by_what_it_has_trained(runs, own, capsys, monkeypatch):
    own("choosing_recipe", CHOOSING)
    name, line = "choosing_recipe:table", ["--steps", "10", "--evaluate-every", "10"]
    begun: list[tuple[str, int]] = []

    def work_off(experiments, recorded_as, **_):  # in this process, and for the first time without MLflow
        begun.append((recorded_as, len(experiments)))
        train_runs(experiments)
        return Outcome(undelivered="" if begun[1:] else "no store")

    monkeypatch.setattr("experiments.work.driver.work_off", work_off)

    def shown() -> list[str]:
        assert run_command(commands.main, ["show", name, *line]) == 0
        return [each.split()[0] for each in capsys.readouterr().out.splitlines()]

    assert len(shown()) == 2
    assert run_command(commands.main, ["run", name, *line]) == 1
    assert begun == [("table_search", 2), ("table_search", 2), ("table", 2)]
    capsys.readouterr()
    listed = shown()
    assert len(listed) == 5  # two there, two back, and the second seed of the chosen one
    assert all(is_finished(folder_of(each)) for each in listed)
    [one] = read_command("run", f"moons_reversed_{listed[0]}", []).experiments
    assert one.hash == listed[2]


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_what_is_held_out_is_not_trained_on(runs, share):
    pair = load_pair("moons")
    there = hold_out(pair, share)
    for kept, held, whole in (
        (there.source, there.evaluation.source_validation, pair.source),
        (there.target, there.evaluation.target_validation, pair.target),
    ):
        assert len(held) == round(share * len(whole))
        rows = [{tuple(row) for row in split.inputs.tolist()} for split in (kept, held, whole)]
        assert rows[0] | rows[1] == rows[2]
        assert not rows[0] & rows[1]
    assert not hasattr(there.evaluation.target_validation, "labels")
    assert len(there.reveal_target_labels("oracle")) == len(there.target)
    assert hold_out(pair, 0.0) is pair
    assert torch.equal(hold_out(pair, share).source.inputs, there.source.inputs)
    with pytest.raises(BadInput, match=r"held_out must be in \[0, 1\), got 1.0"):
        small_moons(held_out=1.0)
