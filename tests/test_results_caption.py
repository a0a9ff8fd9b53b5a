from datasets.agreement import protocol_of
from datasets.domains import DOMAINS
from experiments.record import names
from results.caption import describe_origin, describe_rows
from results.cells import summarise
from tests.support.recorded_runs import describe_run, describe_table, report


def test_origin_is_one_line_with_everything_in_it() -> None:
    runs = describe_table({"dann": (0.5, 0.5)})
    runs[0]["tags"][names.DIRTY] = "true"
    runs[1]["tags"][names.HARDWARE] = "another\nprocessor, 4 cores, cpu"
    assert describe_origin(report(*runs), "python -m results build toy") == (
        "commit 0123456789ab with uncommitted changes; 2026-01-02; n = 2 seeds; a processor, 2 cores, cpu and another "
        "processor, 4 cores, cpu; `python -m experiments run toy` and `python -m results build toy`"
    )


def test_rows_name_selection_labels_protocol_and_absentees() -> None:
    runs = report(describe_run("a_to_b", "target_only", 0, 0.9)).assign(selection="target_oracle")
    lines = describe_rows(runs, summarise(runs), {"running": 1})
    assert "selection: target_oracle; all numbers of a row are of the evaluation that target_oracle chooses" in lines
    assert "† target labels used for training and selection: target only" in lines
    assert "protocol: inductive" in lines
    assert "not in the table: 1 running" in lines


def test_survivors_are_named_with_method_and_seed() -> None:
    runs = describe_table({"dann": (0.5, 0.6, 0.0, 0.0)})
    runs[2]["status"], runs[3]["status"] = "failed", "killed"
    reported = report(*runs)
    lines = describe_rows(reported, summarise(reported), {})
    assert lines[-1] == "2 of 4, survivors only: a → b: DANN, without seeds 2 3"


def test_a_method_without_one_anchor_of_its_own_fields_is_named() -> None:
    anchors = [describe_table({"source_only": (0.5,)}, **{"method.label_smoothing": each}) for each in ("0.0", "0.1")]
    runs = report(*anchors[0], *anchors[1], *describe_table({"dann": (0.7,)}))
    lines = describe_rows(runs, summarise(runs), {})
    assert "a → b: DANN: 2 variants of source only agree with its fields, so nothing is compared" in lines


def test_pairs_with_different_protocols_each_have_a_line() -> None:
    first, second = (describe_run(pair, "dann", 0, 0.5) for pair in ("a", "c"))
    second["tags"][names.PROTOCOL] = "transductive"
    runs = report(first, second)
    lines = describe_rows(runs, summarise(runs), {})
    assert {"protocol of a: inductive", "protocol of c: transductive"} <= set(lines)


def test_where_target_only_is_measured_on_another_half_it_is_said() -> None:
    def lines(pair: str, *methods: str) -> list[str]:
        source, target = (DOMAINS[name] for name in pair.split("_to_"))
        described = [describe_run(pair, method, 0, 0.5) for method in methods]
        for run in described:
            run["tags"][names.PROTOCOL] = protocol_of(source, target)
        runs = report(*described)
        return [line for line in describe_rows(runs, summarise(runs), {}) if "half" in line]

    office = "office_caltech10_amazon_to_office_caltech10_dslr"
    assert lines(office, "dann", "target_only") == [
        "target only: where all are measured on the same target samples, it alone is trained on one half of them and "
        "measured on the other"
    ]
    assert lines(office, "dann") == lines("mnist_to_usps", "dann", "target_only") == []


def test_mixtures_are_cautioned_against() -> None:
    runs = describe_table({"dann": (0.5, 0.6)})
    runs[1]["tags"][names.VERSIONS] = "torch 2.14.0"
    reported = report(*runs).assign(recipe="")  # as with --mixed
    assert [line for line in describe_rows(reported, summarise(reported), {}) if "caution" in line] == [
        "caution: mixed in a → b: torch 2.13.0 and 2.14.0"
    ]


def test_what_stands_apart_is_said_with_the_option_that_joins_it() -> None:
    runs = describe_table({"dann": (0.5, 0.6)})
    runs[1]["tags"][names.COMMIT] = "beef"
    reported = report(*runs)
    assert "runs of different commit stand apart; with --mixed they share a cell" in describe_rows(
        reported, summarise(reported), {}
    )


def test_what_the_runs_of_a_pair_share_is_their_recipe() -> None:
    runs = [describe_run("a_to_b", "dann", 0, 0.5, optimiser=name, lr="Constant") for name in ("sgd", "adam")]
    reported = report(*runs)
    assert "recipe of a → b: network tiny, 100 steps, lr Constant" in describe_rows(reported, summarise(reported), {})


def test_what_all_pairs_share_is_said_once() -> None:
    def lines(*steps: str) -> list[str]:
        runs = [describe_run(pair, "dann", 0, 0.5, steps=of) for pair, of in zip("abc", steps, strict=True)]
        reported = report(*runs).assign(recipe="")
        return [line for line in describe_rows(reported, summarise(reported), {}) if line.startswith("recipe")]

    assert lines("1", "1", "1") == ["recipe of all 3 pairs: network tiny, 1 steps"]
    assert lines("1", "2", "1") == ["recipe of a, c: network tiny, 1 steps", "recipe of b: network tiny, 2 steps"]


def test_finished_runs_without_a_number_are_counted() -> None:
    runs = describe_table({"dann": (0.5, 0.6)})
    runs[1]["metrics"] = {"selected_target_accuracy": 0.6}
    reported = report(*runs)
    assert "1 finished runs have no target_accuracy and are not averaged" in describe_rows(
        reported, summarise(reported), {}
    )
