import hashlib
import subprocess

import pytest

from datasets import load_pair
from experiments.errors import BadInput
from experiments.record import names
from experiments.work import changes
from experiments.work.changes import keep_changes, uncommitted_changes
from experiments.work.environment import describe_datasets, describe_environment
from tests.support.small_runs import image_pair

CONTENT = b"caf\xe9 = 1\n"  # no UTF-8


def git(root, *arguments):
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True).stdout


def forget():
    uncommitted_changes.cache_clear()
    describe_environment.cache_clear()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one committed file in place of this one, of a person with settings of their own."""
    root = tmp_path / "checkout"
    root.mkdir()
    git(root, "init", "--quiet")
    for name, value in {
        "user.name": "A",
        "user.email": "a@b.c",
        "color.ui": "always",
        "diff.noprefix": "true",
        "diff.external": "/bin/false",
        "core.autocrlf": "false",
    }.items():
        git(root, "config", name, value)
    (root / "code.py").write_bytes(CONTENT)
    git(root, "add", "code.py")
    git(root, "commit", "--quiet", "--message", "Begin")
    monkeypatch.setattr(changes, "ROOT", root)
    forget()
    yield root
    forget()


def test_what_is_committed_needs_no_patch(checkout, tmp_path):
    (checkout / "untracked.txt").write_text("no part of the code")
    (tmp_path / names.CHANGES).write_text("of an earlier start")
    keep_changes(tmp_path)
    assert not (tmp_path / names.CHANGES).exists()
    tags = describe_environment()
    assert tags[names.COMMIT] == git(checkout, "rev-parse", "HEAD").decode().strip()
    assert tags[names.DIRTY] == "false"
    assert names.DIFF not in tags


def test_the_kept_patch_gives_the_very_files_back(checkout, tmp_path):
    changed = CONTENT + b"na\xefve = 2"  # without a newline at the end
    (checkout / "code.py").write_bytes(changed)
    (checkout / "new.py").write_text("x = 1\n")
    git(checkout, "add", "new.py")
    keep_changes(tmp_path)
    patch = (tmp_path / names.CHANGES).read_bytes()
    tags = describe_environment()
    assert tags[names.DIRTY] == "true"
    assert tags[names.DIFF] == hashlib.sha256(patch).hexdigest()[:16]

    assert (tmp_path / names.CHANGES).stat().st_mode & 0o777 == 0o600

    git(checkout, "reset", "--quiet", "--hard")
    git(checkout, "apply", str(tmp_path / names.CHANGES))
    assert (checkout / "code.py").read_bytes() == changed
    assert (checkout / "new.py").read_text() == "x = 1\n"


KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n"


def test_what_looks_like_a_secret_never_leaves_the_checkout(checkout, tmp_path):
    secrets = {
        ".env": "TOKEN=c2VjcmV0\n",
        "deploy.pem": "c2VjcmV0\n",
        "sub/id_ed25519": "c2VjcmV0\n",
        "My Credentials.json": "c2VjcmV0\n",
        "notes.txt": f"a key:\n{KEY}",
    }
    for name, content in {**secrets, "tokenizer.py": "x = 1\n", "code.py": "y = 2\n"}.items():
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).write_text(content)
        git(checkout, "add", name)
    found = uncommitted_changes()
    assert set(found.files) == {"tokenizer.py", "code.py"}
    assert set(found.held_back) == secrets.keys()
    assert b"c2VjcmV0" not in found.patch
    keep_changes(tmp_path)
    assert b"c2VjcmV0" not in (tmp_path / names.CHANGES).read_bytes()
    said = str(found)
    assert said.startswith("changes.patch goes to MLflow with each run, of ")
    assert all(name in said for name in (*secrets, "tokenizer.py", "GRL_PATCH=no"))


def test_a_key_that_was_committed_and_is_taken_away_is_held_back_too(checkout):
    (checkout / "notes.txt").write_text(KEY)
    git(checkout, "add", "notes.txt")
    git(checkout, "commit", "--quiet", "--message", "Oops")
    (checkout / "notes.txt").unlink()
    assert uncommitted_changes().held_back == ("notes.txt",)
    assert uncommitted_changes().patch == b""


def test_one_setting_sends_no_patch_and_still_says_that_there_are_changes(checkout, tmp_path, monkeypatch):
    monkeypatch.setenv("GRL_PATCH", "no")
    (checkout / "code.py").write_text("x = 2\n")
    keep_changes(tmp_path)
    assert not (tmp_path / names.CHANGES).exists()
    assert describe_environment()[names.DIRTY] == "true"
    assert names.DIFF not in describe_environment()
    assert str(uncommitted_changes()) == "not everything is committed; not sent: code.py"
    forget()
    monkeypatch.setenv("GRL_PATCH", "never")
    with pytest.raises(BadInput, match=r"^GRL_PATCH must be yes or no, got 'never'$"):
        uncommitted_changes()


def test_no_repository_is_said_and_stops_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(changes, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    forget()
    assert describe_environment().items() >= {names.COMMIT: "unknown", names.DIRTY: "false"}.items()
    forget()


@pytest.mark.parametrize(
    ("reads", "roles"),
    [
        ("source", [("source", True)]),
        ("source and target", [("source", True), ("target", False)]),
        ("target labels", [("target", True)]),
    ],
)
def test_the_data_sets_are_what_the_method_reads(reads, roles):
    described = describe_datasets(image_pair(), reads)
    assert [(each["role"], each["labels"]) for each in described] == roles
    for each in described:
        assert each["domain"] == {"source": "Images", "target": "Darker images"}[each["role"]]
        assert (each["count"], each["shape"], each["dtype"]) == (48, [28, 28, 3], "uint8")


def test_features_are_described_as_they_are(runs):
    source, target = describe_datasets(load_pair("moons"), "source and target")
    assert (source["shape"], source["dtype"]) == (target["shape"], target["dtype"]) == ([2], "float32")
