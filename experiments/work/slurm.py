"""A pool of SLURM jobs, by submitit: one job a bundle, queued again by SLURM when it is preempted.

The run folders lie on storage that all nodes share: a job that is queued again goes on from its runs' checkpoints.
"""

import importlib
import logging
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.errors import BadInput
from experiments.record.names import runs_root
from experiments.training.machine import AUTOMATIC, Machine
from experiments.work.bundles import Bundle
from experiments.work.driver import Ended
from experiments.work.serving import GRACE_S, train_members

LOOK_EVERY_S = 0.2
ANSWER_S = 30.0  # until a controller that says nothing is given up


class Job:
    """What a job runs; SLURM's warning before a preemption has it queued again as it is."""

    def __init__(self, members: Bundle, machine: Machine, modules: Sequence[str], until: int | None):
        self.arguments, self.until = (members, machine, tuple(modules)), until

    def __call__(self) -> Ended:
        return train_members(*self.arguments, until=self.until)

    def checkpoint(self) -> Any:
        """The same again; what it has done is in the run folders."""
        return importlib.import_module("submitit.helpers").DelayedSubmission(self)


class Slurm:
    """Jobs in SLURM's queue.

    Args:
        jobs: How many are queued or running at a time.
        options: Of the jobs, as `read_options` returns them.
        machine: How each run computes.
        modules: What a job imports first.
        cluster: `slurm`, or `local` and `debug` for submitit's own stand-ins.

    Raises:
        BadInput: submitit is not installed, there is no SLURM here, or its controller does not answer.
    """

    def __init__(
        self,
        jobs: int,
        options: Mapping[str, Any],
        machine: Machine = AUTOMATIC,
        modules: Sequence[str] = (),
        *,
        cluster: str = "slurm",
    ):
        try:
            submitit = importlib.import_module("submitit")  # an optional group of its own
        except ImportError:
            raise BadInput("slurm needs submitit, which is not installed: pip install submitit") from None
        logging.getLogger("submitit").setLevel(logging.ERROR)
        try:
            self._executor = submitit.AutoExecutor(folder=runs_root() / "slurm" / "%j", cluster=cluster)
            self._executor.update_parameters(**{"timeout_min": 24 * 60, "cpus_per_task": 1, **options})
        except Exception as error:  # submitit's own, or a parameter that SLURM has not
            raise BadInput(f"slurm cannot be used: {(str(error).splitlines() or [type(error).__name__])[0]}") from None
        if cluster == "slurm":
            _expect_answer()
        self._most, self._machine, self._modules = jobs, machine, tuple(modules)
        self._running: dict[Any, Bundle] = {}

    @property
    def is_free(self) -> bool:
        return len(self._running) < self._most

    @property
    def is_busy(self) -> bool:
        return bool(self._running)

    def submit(self, members: Bundle, until: int | None = None) -> None:
        try:
            job = self._executor.submit(Job(members, self._machine, self._modules, until))
        except Exception as error:  # what sbatch says
            raise BadInput(
                f"SLURM did not take a job: {(str(error).splitlines() or [type(error).__name__])[0]}"
            ) from None
        self._running[job] = members

    def ended(self, wait_s: float) -> list[Ended]:
        until_s = time.monotonic() + wait_s
        while not (done := [job for job in self._running if job.done()]) and time.monotonic() < until_s:
            time.sleep(LOOK_EVERY_S)
        return [self._collect(job) for job in done]

    def _collect(self, job: Any) -> Ended:
        members = self._running.pop(job)
        try:
            return job.result()
        except Exception as error:  # the job's own words are in its log
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            return Ended(
                members, died=f"SLURM job {job.job_id} ended without a result: {reason}; see {job.paths.stderr}"
            )

    def stop(self) -> None:
        for job in self._running:
            job.cancel()
        until_s = time.monotonic() + GRACE_S
        while any(not job.done() for job in self._running) and time.monotonic() < until_s:
            time.sleep(LOOK_EVERY_S)
        self._running.clear()


def _expect_answer() -> None:
    # sbatch would wait for minutes for a controller that is not there.
    try:
        said = subprocess.run(["scontrol", "ping"], capture_output=True, text=True, timeout=ANSWER_S)
        answer = "" if not said.returncode else (said.stdout + said.stderr).strip().partition("\n")[0]
    except subprocess.TimeoutExpired:
        answer = f"no answer for {ANSWER_S:.0f} s"
    except OSError as error:
        answer = str(error)
    if answer:
        raise BadInput(f"slurm cannot be used: scontrol ping: {answer}")


def read_options(text: str) -> dict[str, Any]:
    """What `--slurm partition=gpu,gpus=1` says, as submitit takes it.

    Raises:
        BadInput: a word that is no name=value.
    """
    named = {"gpus": "gpus_per_node", "minutes": "timeout_min", "mem_gb": "mem_gb", "cpus": "cpus_per_task"}
    options: dict[str, Any] = {}
    for word in filter(None, text.split(",")):
        name, equals, value = word.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise BadInput(f"slurm must be name=value, … such as partition=gpu,gpus=1,minutes=600, got {word!r}")
        name = named.get(name, name if name.startswith("slurm_") else f"slurm_{name}")
        options[name] = int(value) if value.isdigit() else value
    return options
