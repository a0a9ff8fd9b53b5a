"""Every table that has a name of its own: whose runs it shows, beside which published numbers, and what else.

    python -m results plan ganin2016_table2
    python -m results reproduce ganin2016_table2 --budget quick
    python -m results build ganin2016_table2

Any other recipe is a table, too, under its own name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.errors import BadInput
from experiments.validators import LAST
from results.atlas import OBJECTIVE, make_atlas
from results.binomial import tabulate_wins
from results.drawing import DEFAULT
from results.study import make_study
from results.table import Part, Request, Table, make_table

if TYPE_CHECKING:
    from mlflow import MlflowClient

JMLR = "Ganin et al., JMLR 17 (2016)"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A table."""

    summary: str
    """What it is, in a line."""
    command: str = "experiments"
    """What trains it: `python -m experiments run RECIPE`, or `python -m sweeps run RECIPE`; empty if nothing does."""
    recipes: Sequence[str] = ()
    """What is launched; its runs are in MLflow experiments of the same names."""
    published: tuple[str, str] | None = None
    """As in `Request`, and so are the next two."""
    parts: Sequence[Part] = ()
    notes: Sequence[str] = ()
    selection: str = LAST
    """Which step is reported unless told."""
    figures: Sequence[str] = DEFAULT
    make: "Callable[[MlflowClient, Request], Table]" = make_table

    def request(self, name: str, **options: Any) -> Request:
        """What is to be built of it under this name.

        Raises:
            BadInput: nothing trains it, so there is nothing to build.
        """
        if not self.recipes and self.make is make_table:
            raise BadInput(f"{name} cannot be built: {self.summary}")
        return Request(name, self.recipes, self.published, self.parts, self.notes, **options)


_DIGITS = ("later papers train on other networks and, some of them, on parts of the training splits: see each source",)
TABLES: dict[str, Entry] = {
    **{
        name: Entry(
            summary=f"Amazon reviews, 12 pairs, {inputs}: DANN, NN, SVM (1a), which wins how often (1b)",
            recipes=[name],
            published=(JMLR, f"Table 1a, {half}"),
            parts=[tabulate_wins],
            selection="source_accuracy",  # of the held-out tenth: the paper's early stopping
            figures=["ranks"],
        )
        for name, inputs, half in (
            ("ganin2016_table1", "raw counts", "original data"),
            ("ganin2016_table1_msda", "mSDA", "mSDA representation"),
        )
    },
    "reviews_one_alpha": Entry(
        summary="Amazon reviews, 12 pairs, raw counts: DANN with one alpha for all, and NN",
        recipes=["reviews_one_alpha"],
        published=(JMLR, "Table 1a, original data"),
        selection="source_accuracy",
        figures=[],
    ),
    "ganin2016_table2": Entry(
        summary="digits and signs with the paper's networks: source only, DANN, train on target",
        recipes=["ganin2016_table2"],
        published=(JMLR, "Table 2"),
        notes=[
            "the paper's rows have their last layer fitted again as a linear SVM, as SA and SVM after=… have here; the "
            "other rows are the networks' own outputs"
        ],
    ),
    "ganin2016_table2_mnist_m": Entry(
        summary="MNIST → MNIST-M as printed in table 2: last layers as linear SVM, and SA",
        recipes=["ganin2016_table2_mnist_m"],
        notes=["the paper's rows have their last layer fitted again as a linear SVM, as SA and SVM after=… have here"],
    ),
    "ganin2016_table3": Entry(
        summary="Office-31 with a pretrained AlexNet; no recipe: no photographs and no such weights",
        published=(JMLR, "Table 3"),
    ),
    "ganin2016_figure2": Entry(
        summary="moons: NN and DANN in four panels each",
        recipes=["ganin2016_figure2"],
        notes=["alpha = 0 is the figure's NN: its domain classifier learns, and nothing of it is reversed"],
        figures=["boundaries", "seeds"],
    ),
    "mnist_usps": Entry(
        summary="MNIST and USPS, both ways, every method, beside CDAN, MCD, MDD, SHOT and others",
        recipes=["mnist_usps"],
        notes=_DIGITS,
        figures=[*DEFAULT, "confusions", "samples", "validators"],
    ),
    "skada_bench": Entry(
        summary="MNIST and USPS with skada-bench's network and protocol, beside its deep results",
        recipes=["mnist_usps_skada"],
        published=("skada-bench", "deep results on digits"),
        notes=["skada-bench printed one run a cell and no spread: its difference from ours has one side's noise alone"],
    ),
    "office_caltech10_surf": Entry(
        summary="Office-Caltech-10, 12 pairs, SURF histograms",
        recipes=["office_caltech10_surf"],
        figures=["gaps", "ranks", "validators"],
    ),
    "office_caltech10_deep": Entry(
        summary="Office-Caltech-10, 12 pairs, deep features",
        recipes=["office_caltech10_deep"],
        figures=["gaps", "ranks", "validators"],
    ),
    "alpha_atlas": Entry(
        summary="which family of alpha schedules wins on which pair, chosen without target labels",
        command="sweeps",
        recipes=["alpha_atlas"],
        selection=OBJECTIVE,
        figures=[],
        make=make_atlas,
    ),
    "validator_study": Entry(
        summary="which validator, when: over every run that is recorded",
        command="",
        figures=["study"],
        make=make_study,
    ),
}


def find_entry(name: str) -> Entry:
    """The table of this name; of any other name, the runs that were launched under it."""
    return TABLES.get(name) or Entry(summary="", recipes=[name])
