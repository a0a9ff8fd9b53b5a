"""Command line: `python -m sweeps {list, run, status, show, replay, report}`."""

import sys
from typing import TYPE_CHECKING

import optuna
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from experiments.errors import BadInput, run_command, unknown
from experiments.record import names
from experiments.saying import say
from sweeps.sweep import Sweep

if TYPE_CHECKING:
    from experiments.work.driver import Outcome
    from sweeps.launch import Launch

VERBS = {
    "list": """usage: python -m sweeps list

The sweeps that have a name, and the studies of each that have been begun.""",
    "run": """usage: python -m sweeps run NAME [OPTIONS]

Run what is missing of a sweep. NAME is one of python -m sweeps list, or a function of your own that returns a Sweep,
by its import path. Options are those of the search and the fields of the recipe, in any order; --help after NAME lists
them. Another recipe, space or objective is another study.

  python -m sweeps run demo
  python -m sweeps run alpha --trials 40 --seeds 5 --workers 4
  python -m sweeps run alpha --pair mnist_to_mnist_m --method cdan --steps 2000
  python -m sweeps run recipe --objective source_accuracy --sampler random
  python -m sweeps run alpha --pruner hyperband
  python -m sweeps run my_module:my_sweep --ordered""",
    "status": """usage: python -m sweeps status NAME [OPTIONS]

What is being trained, what is complete, pruned and failed and why, and about how long the rest takes; takes the options
of run, which name the study.

  python -m sweeps status demo
  python -m sweeps status alpha --pair mnist_to_usps""",
    "show": """usage: python -m sweeps show NAME [OPTIONS]

The best trials so far; takes the options of run, which name the study.

  python -m sweeps show demo""",
    "replay": """usage: python -m sweeps replay NAME --trial K [OPTIONS]

Train trial K's runs again from its stored settings, apart from the record, and compare them bit by bit.

  python -m sweeps replay demo --trial 3""",
    "report": """usage: python -m sweeps report NAME [--fresh N] [OPTIONS]

Train the winner, the recipe as it is, the best of every other family, the paper's schedule and four peers' on N seeds
that the search has not seen (5 unless told), and a few of the pruned trials to their end; print what the search has
shown: differences with intervals, the search's optimism, what pruning saved, each validator's regret. The same is
written beside the study, as Markdown, LaTeX and one HTML page with the figures, and kept in MLflow.

  python -m sweeps report demo
  python -m sweeps report alpha --pair mnist_to_usps --fresh 10""",
}
USAGE = """usage: python -m sweeps COMMAND

  list                       the named sweeps and their studies
  run NAME [OPTIONS]         run what is missing of a sweep
  status NAME [OPTIONS]      what runs, what is done, how long the rest takes
  show NAME [OPTIONS]        its best trials so far
  replay NAME --trial K      train one trial again and compare the bits
  report NAME [--fresh N]    confirm the winner on fresh seeds and write what the search has shown

each command answers --help with examples"""

FRESH_SEEDS = 5

console = Console()


def list_sweeps() -> int:
    from sweeps.catalogue import SWEEPS
    from sweeps.launch import find_sweeps
    from sweeps.study import list_studies

    for name, function in SWEEPS.items():
        summary = (function.__doc__ or "").splitlines()[0]
        say(console, f"  {name:<14}{summary}")
        for sweep in find_sweeps(name):
            for study in list_studies(sweep.name):
                say(console, f"    {study}")
    return 0


def run(launch: "Launch") -> int:
    from experiments.launch import check_all
    from sweeps.study import completed, draw_setting, open_study
    from sweeps.work import work_off_sweep

    # Said once, before any study is begun and any process starts.
    check_all([each for sweep in launch.sweeps for each in (sweep.recipe, draw_setting(sweep))])
    how, exit_code = launch.how, 0
    for sweep in launch.sweeps:
        outcome = work_off_sweep(
            sweep,
            open_pool=lambda: how.open_pool(how.workers, launch.modules),
            console=console,
            machine=how.machine,
            ordered=launch.order.ordered,
            ahead=how.workers,
        )
        study = open_study(sweep.study_name)
        if completed(study):
            print_trials(sweep, study)
            if launch.order.publish:
                from sweeps.figures import draw_one

                path = names.RESULTS / "figures" / f"sweep_{sweep.name}.png"
                say(console, f"figure: {draw_one('history', sweep, study, path)}")
        say_undelivered(outcome)
        if not outcome.undelivered and not outcome.interrupted:
            say(console, f"recorded in MLflow as 'sweep_{sweep.name}'; curves: make ui")
        exit_code = exit_code or outcome.exit_code
        if outcome.interrupted:
            break
    return exit_code


def say_undelivered(outcome: "Outcome") -> None:
    """What did not come into MLflow, and how it does."""
    if outcome.undelivered:
        say(
            console,
            f"not in MLflow: {outcome.undelivered}\neverything is kept in {names.runs_root()}; "
            "send it later with the same command, or: python -m experiments sync",
            "red",
        )


def show(launch: "Launch") -> int:
    from sweeps.status import open_begun

    for sweep in launch.sweeps:
        print_trials(sweep, open_begun(sweep))
    return 0


def status(launch: "Launch") -> int:
    from sweeps.status import describe_status

    for sweep in launch.sweeps:
        for line in describe_status(sweep):
            say(console, line)
    return 0


def print_trials(sweep: Sweep, study: optuna.Study, most: int = 5) -> None:
    """The best trials of a study as a table."""
    from sweeps.study import SHOWN, completed

    trials = completed(study)
    best_first = sorted(trials, key=lambda trial: trial.values[0], reverse=True)
    table = Table(box=SIMPLE_HEAD)
    for column in ("trial", "changed", "objective", "target"):
        table.add_column(column, justify="left" if column == "changed" else "right", no_wrap=column != "changed")
    for trial in best_first[:most]:
        hindsight = trial.user_attrs[sweep.search.reported]
        table.add_row(str(trial.number), trial.user_attrs[SHOWN], f"{trial.value:.4f}", f"{hindsight:.3f}")
    seeds = f"mean of {sweep.search.seeds} seeds"
    say(console, f"study {sweep.study_name}: best of {len(trials)} trials, {seeds}")
    console.print(table)
    used = "it chose by target labels" if sweep.search.sees_target_labels else "accuracy in hindsight, not used"
    say(console, f"objective: {sweep.search.objective}; target: {used}")
    if best_first:
        best = best_first[0]
        say(console, f"best: trial {best.number}, {best.user_attrs[SHOWN]}")


def replay(launch: "Launch") -> int:
    from sweeps.replay import replay_trial

    if launch.number is None:
        raise BadInput("replay needs a sweep and a trial: python -m sweeps replay NAME --trial K")
    if len(launch.sweeps) > 1:
        raise BadInput(f"a trial is of one sweep, and these are {len(launch.sweeps)}; give --pair")
    same = True
    for title, begun, now in replay_trial(launch.sweeps[0], launch.number, launch.how.machine):
        same &= begun == now
        say(console, f"{title}: {'same bits' if begun == now else f'{begun[:12]} became {now[:12]}'}")
    return 0 if same else 1


def report(launch: "Launch") -> int:
    from experiments.record.files import write_atomically
    from experiments.record.folder import folder_of, is_finished
    from experiments.record.store import Unreachable, open_client
    from experiments.work.bundles import bundle
    from experiments.work.driver import work_off
    from results.atlas import CONFIRMED
    from results.formats import FORMATS
    from results.formats.console import show as show_document
    from sweeps.document import describe_study
    from sweeps.report import draw_sample, list_contenders, names_default
    from sweeps.status import open_begun
    from sweeps.study import completed, folder_of_study, suggested
    from sweeps.tracking import keep_report

    exit_code = 0
    for sweep in launch.sweeps:
        study = open_begun(sweep)
        if not completed(study):
            raise BadInput(f"study {sweep.study_name} has no complete trial yet: {sweep.command('run')}")
        contenders, sample = list_contenders(sweep, study, launch.number or FRESH_SEEDS), draw_sample(sweep, study)
        confirming = [run for contender in contenders for run in contender.runs]
        pruned = [run for trial in sample for run in sweep.experiments(suggested(sweep, trial))]
        outcome = work_off(
            [*confirming, *pruned],
            f"sweep_{sweep.name}{CONFIRMED}",
            open_pool=lambda bundles: launch.how.open_pool(bundles, launch.modules),
            bundle=lambda experiments: bundle(experiments, launch.how.machine),
            console=console,
        )
        for failure in outcome.failed:
            say(console, f"failed: {failure}", "red")
        say_undelivered(outcome)
        exit_code = exit_code or int(bool(outcome.undelivered))
        failed = [each for each in contenders if not all(is_finished(folder_of(run.hash)) for run in each.runs)]
        if outcome.interrupted or outcome.in_use or any(names_default(each) for each in failed):
            return outcome.exit_code
        folder, done = folder_of_study(sweep.study_name), [each for each in contenders if each not in failed]
        figures = sorted((folder / "figures").glob("*.png"))
        document = describe_study(sweep, study, done, sample, failed, figures)
        show_document(document, console)
        files = [folder / f"report.{ending}" for ending in FORMATS]
        for path, render in zip(files, FORMATS.values(), strict=True):
            write_atomically(path, render(document).encode())
            say(console, f"report: {path}")
        try:
            keep_report(open_client(), sweep, files)
        except Unreachable as error:
            say(console, f"not in MLflow: {error}", "red")
            exit_code = 1
    return exit_code


def main(arguments: list[str]) -> int:
    match arguments:
        case [] | ["-h" | "--help", *_]:
            print(USAGE)
            return 0 if arguments else 2
        case [verb, "-h" | "--help", *_] if verb in VERBS:
            print(VERBS[verb])
            return 0
        case ["list"]:
            return list_sweeps()
        case ["run" | "status" | "show" | "replay" | "report" as verb, name, *options]:
            from sweeps.launch import read_command

            launch = read_command(verb, name, options)
            if launch.help:
                print(f"{VERBS[verb]}\n\n{launch.help}")
                return 0
            return {"run": run, "status": status, "show": show, "replay": replay, "report": report}[verb](launch)
        case ["replay"]:
            raise BadInput("replay needs a sweep and a trial: python -m sweeps replay NAME --trial K")
        case ["run" | "status" | "show" | "report" as verb]:
            raise BadInput(f"{verb} needs the name of a sweep: python -m sweeps list")
        case ["list", *rest]:
            raise BadInput(f"list takes no arguments, got {' '.join(rest)}")
        case [verb, *_]:
            raise unknown("command", verb, VERBS)
    raise AssertionError(arguments)


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
