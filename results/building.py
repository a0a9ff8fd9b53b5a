"""`build`: from the name of an MLflow experiment to its table, its figures and its report."""

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console

from experiments.errors import BadInput
from results.curves import draw_curves
from results.delivering import deliver_report, deliver_run_figures
from results.features import draw_features
from results.figures import to_png
from results.files import make_folder, replace_file
from results.reading import first_line, open_store, read_curves, read_features, read_runs
from results.statistics import LOWER, compare, name_cells, summarise
from results.tables import (
    describe_left_out,
    describe_origin,
    describe_protocols,
    put_into_words,
    render_console,
    render_csv,
    render_markdown,
)


@dataclass(frozen=True)
class Built:
    """What one `build` made."""

    cells: pd.DataFrame
    comparisons: pd.DataFrame
    files: list[Path]


def build(name: str, into: Path, console: Console) -> Built:
    """Read the finished runs of `name`, print their table, write table and figures, and keep both in MLflow.

    Args:
        name: MLflow experiment: what was launched, for example demo.
        into: folder that receives tables/ and figures/; files that cannot be replaced whole are left as they were.
        console: where the table is printed.

    Raises:
        BadInput: unknown name, nothing finished, an unreachable store or an unwritable folder.
    """
    client = open_store()
    recorded = read_runs(client, name)
    tables, figures = make_folder(into / "tables"), make_folder(into / "figures")

    runs = name_cells(recorded.runs)
    cells, comparisons = summarise(runs), compare(runs)
    origin, protocols = describe_origin(runs, name), describe_protocols(runs)
    sentences = put_into_words(cells, comparisons)
    left_out = describe_left_out(recorded.left_out)
    console.print(render_console(cells, name))
    for line in [*sentences, *([left_out] if left_out else []), origin]:
        console.print(line, markup=False, highlight=False)

    markdown = render_markdown(cells, origin, [*sentences, *protocols, *([left_out] if left_out else [])])
    files = [
        replace_file(tables / f"{name}.csv", render_csv(cells, comparisons, origin, protocols).encode()),
        replace_file(tables / f"{name}.md", markdown.encode()),
    ]
    with console.status("drawing figures"):
        curves = read_curves(client, list(runs.index))
        for (pair, recipe), group in runs.groupby(["pair", "recipe"]):
            stem = "_".join([name, *filter(None, (pair, re.sub(r"[^\w.]+", "_", recipe)))])
            title = " ".join(filter(None, (group["tag.pair_title"].iloc[0], recipe)))
            if curves["run_id"].isin(group.index).any():
                files.append(replace_file(figures / f"{stem}_curves.png", to_png(draw_curves(group, curves, title))))
            samples = _before_and_after(client, group)
            if samples:
                files.append(replace_file(figures / f"{stem}_features.png", to_png(draw_features(samples, title))))
    missing = len(runs) - curves["run_id"].nunique()
    if missing:
        console.print(f"{missing} of {len(runs)} runs have no curves in MLflow and are missing from the figures")
    with console.status("sending report and figures to MLflow"):
        try:
            deliver_run_figures(client, runs, curves)
            deliver_report(client, recorded.experiment_id, files, markdown, f"python -m results build {name}")
        except Exception as error:
            raise BadInput(f"{into} is up to date, but MLflow did not take the report: {first_line(error)}") from None
    return Built(cells, comparisons, files)


def _before_and_after(client, group: pd.DataFrame) -> dict:  # noqa: ANN001
    # Features of source_only and of the first adversarial method, for the lowest seed that both have.
    adapted = group[group["method"] == "dann"]
    seeds = sorted(set(group.loc[group["method"] == LOWER, "seed"]) & set(adapted["seed"]))
    if not seeds:
        return {}
    samples = {}
    for method, heading in ((LOWER, "before: source_only"), ("dann", "after: dann")):
        run_id = group[(group["method"] == method) & (group["seed"] == seeds[0])].sort_values("variant").index[0]
        sample = read_features(client, run_id)
        if sample is not None:
            samples[f"{heading}, seed {seeds[0]}"] = sample
    return samples
