"""What was not committed when a run was started: a patch that goes with it, without what looks like a secret."""

import fnmatch
import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from experiments.errors import BadInput
from experiments.record.files import PRIVATE, write_atomically
from experiments.record.names import CHANGES, ROOT

SETTING = "GRL_PATCH"
# Names of files whose changes never leave the checkout, and what gives away a key in any other.
SECRETS = (
    *(".env", ".env.*", "*.env", ".netrc", ".npmrc", ".pypirc", ".pgpass", ".git-credentials", ".htpasswd"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "id_rsa*", "id_dsa*", "id_ecdsa*"),
    *("id_ed25519*", "*credential*", "*secret*", "*password*", "*.token", "token", "token.*"),
)
KEY_MARK = b"PRIVATE KEY-----"
_PLAIN = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames")  # whatever the user's own settings
_PREFIXES = ("-c", "diff.noprefix=false", "-c", "diff.mnemonicPrefix=false")


@dataclass(frozen=True)
class Changes:
    """The tracked files that differ from the commit.

    Attributes:
        patch: What `git apply` adds to the commit to give `files`; bytes, because one of a file that is not UTF-8 must
            still apply. Empty where it is switched off.
        files: What the patch is of.
        held_back: Changed files that are not in it.
    """

    patch: bytes = b""
    files: tuple[str, ...] = ()
    held_back: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.files or self.held_back)

    def __str__(self) -> str:
        """What goes to MLflow of it, on one line."""
        kept = f"; not sent: {', '.join(self.held_back)}" if self.held_back else ""
        if not self.patch:
            return f"not everything is committed{kept}"
        return f"{CHANGES} goes to MLflow with each run, of {', '.join(self.files)}{kept} ({SETTING}=no sends none)"


def git(*arguments: str) -> bytes:
    """What git prints in the checkout; nothing where there is no git, or no repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""


@cache
def uncommitted_changes() -> Changes:
    """Those of this process: taken once, as the code was read once."""
    setting = os.environ.get(SETTING, "yes")
    if setting not in ("yes", "no"):
        raise BadInput(f"{SETTING} must be yes or no, got {setting!r}")
    names = [os.fsdecode(name) for name in git("diff", "HEAD", "--name-only", "-z", *_PLAIN).split(b"\0") if name]
    patches: dict[str, bytes] = {}
    for name in names if setting == "yes" else ():
        patch = git(*_PREFIXES, "diff", "HEAD", *_PLAIN, "--", f":(top,literal){name}")
        if not (is_secret(name) or KEY_MARK in patch):
            patches[name] = patch
    return Changes(b"".join(patches.values()), tuple(patches), tuple(name for name in names if name not in patches))


def is_secret(name: str) -> bool:
    """Whether a file is called as files of keys and passwords are."""
    return any(fnmatch.fnmatch(Path(name).name.lower(), pattern) for pattern in SECRETS)


def keep_changes(folder: Path) -> None:
    """Put the patch into the run's folder, for its owner alone, in place of what an earlier start may have left."""
    if patch := uncommitted_changes().patch:
        write_atomically(folder / CHANGES, patch, mode=PRIVATE)
    else:
        (folder / CHANGES).unlink(missing_ok=True)
