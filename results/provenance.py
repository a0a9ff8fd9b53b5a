"""What must be the same for two runs to be averaged, beside their parameters: data, code and device."""

import pandas as pd

from experiments.record import names

PROVENANCE = ("data", "commit", "torch", "device")


def read_provenance(runs: pd.DataFrame) -> pd.DataFrame:
    """Short names of what stands in the tags of each run.

    Args:
        runs: one row a run, with columns `tag.<name>`.

    Returns:
        Text columns data (fingerprint, with the digest of foreign source behind a plus), commit (with the digest of
        what was not committed behind a plus), torch (version) and device (cpu, mps or the GPU); empty where a run has
        no such tag.
    """
    data, source = _tag(runs, names.DATA_FINGERPRINT).str[:8], _tag(runs, names.FOREIGN_SOURCE).str[:6]
    commit, changes = _tag(runs, names.COMMIT).str[:7], _tag(runs, names.DIFF).str[:6]
    return pd.DataFrame(
        {
            "data": data + ("+" + source).where(source != "", ""),
            "commit": commit + ("+" + changes).where(changes != "", ""),
            "torch": _tag(runs, names.VERSIONS).str.extract(r"\btorch ([^ ,]+)", expand=False).fillna(""),
            "device": _tag(runs, names.HARDWARE).str.extract(r"([^,]+)(?:, (?:inductor|cudagraphs|deterministic))*$")[0]
            .str.strip()
            .fillna(""),
        }
    )  # fmt: skip


def _tag(runs: pd.DataFrame, name: str) -> "pd.Series[str]":
    column = f"tag.{name}"
    return runs[column].fillna("") if column in runs else pd.Series("", index=runs.index)
