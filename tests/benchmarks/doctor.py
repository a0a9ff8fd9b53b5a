"""The doctor's confusion matrix: random healthy networks, and each with every fault planted in turn.

    python -m tests.benchmarks.doctor --patients 1000 --steps 300

Networks are float32, untrained, trained through the reversal, or with an adversary trained alone; two to four domains,
equal and unequal batches, six activations, batch and layer norm, dropout, spectral norm, last layers that start as
zeros. A fault that is named "inconclusive" is not convicted, and not missed either.
"""

import argparse
import collections
import time

import torch

from grl.doctor import examine
from tests.support.patients import FAULTS, Patient, draw_patient, plant


def diagnose(patient: Patient, **keywords: object) -> tuple[str, float]:
    """Return the doctor's status, and the distance of the factor from -alpha as a share of it."""
    verdict = examine(
        patient.extractor,
        patient.classifier,
        patient.source,
        patient.target,
        patient.alpha,
        domain_labels=patient.domain_labels,
        **keywords,  # pyright: ignore
    )
    return verdict.status, abs(verdict.factor / -patient.alpha - 1.0)


def main() -> None:
    """Print the matrix."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=300, help="the longest training")
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    right: dict[str, str] = {}
    worst, spent = 0.0, 0.0
    for seed in range(options.first, options.first + options.patients):
        patient = draw_patient(seed, options.steps)
        start = time.perf_counter()
        status, distance = diagnose(patient)
        spent += time.perf_counter() - start
        row = f"healthy, {patient.history}"
        found[row][status], right[row] = found[row][status] + 1, "reversed"
        if status == "reversed":
            worst = max(worst, distance)
        else:
            print(f"seed {seed}: {row} is {status}")
        for fault in FAULTS:
            with plant(fault, patient) as planted:
                if planted is None:
                    continue
                name, ill, keywords = planted
                status, _ = diagnose(ill, **keywords)
                found[fault][status], right[fault] = found[fault][status] + 1, name
                if status not in (name, "inconclusive"):
                    print(f"seed {seed}: {fault} is {status}")
    print(f"{'':42}{'patients':>9}{'named':>8}{'inconclusive':>14}{'misnamed':>10}{'healthy':>9}")
    for row in sorted(found, key=lambda row: not row.startswith("healthy")):
        counts, name = found[row], right[row]
        rest = {status: n for status, n in counts.items() if status not in (name, "inconclusive", "reversed")}
        missed = 0 if name == "reversed" else counts["reversed"]
        print(
            f"{row:42}{counts.total():9}{counts[name]:8}{counts['inconclusive']:14}{sum(rest.values()):10}{missed:9}"
            + ("  " + ", ".join(f"{n} {status}" for status, n in rest.items()) if rest else "")
        )
    print(f"greatest |factor / -alpha - 1| of the healthy: {worst:.1e}; {spent / options.patients * 1e3:.1f} ms each")


if __name__ == "__main__":
    main()
