import hashlib
import subprocess
import sys

import pytest

from datasets import DatasetError
from datasets.files.download import check_file, download
from tests.support.local_server import LocalServer

BODY = bytes(range(256)) * 4096  # 1 MiB
SHA = "sha256:" + hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server():
    with LocalServer({"file.bin": BODY}) as server:
        yield server


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_fetches_and_reports(server, tmp_path):
    seen = []
    download(
        [server.url("good", "file.bin")],
        tmp_path / "file.bin",
        SHA,
        lambda name, done, total: seen.append((done, total)),
    )
    assert (tmp_path / "file.bin").read_bytes() == BODY
    assert leftovers(tmp_path) == ["file.bin"]
    assert seen[-1] == (len(BODY), len(BODY))


def test_a_checksum_is_that_of_a_repository(server, tmp_path):
    # printf 'what is up, doc?' | git hash-object --stdin, the example of the Pro Git book
    (tmp_path / "doc").write_bytes(b"what is up, doc?")
    check_file(tmp_path / "doc", "git:bd9dbf5aae1a3862dd1526723246b20206e5fc37")
    with pytest.raises(DatasetError, match=r"git is [0-9a-f]{40}, expected bd9d"):
        download([server.url("good", "file.bin")], tmp_path / "x", "git:bd9dbf5aae1a3862dd1526723246b20206e5fc37")


def test_connection_that_breaks_off_is_continued(server, tmp_path):
    download([server.url("once", "file.bin")], tmp_path / "file.bin", SHA)
    assert (tmp_path / "file.bin").read_bytes() == BODY
    assert [asked for _, asked in server.requests] == [None, f"bytes={len(BODY) // 2}-"]


def test_later_call_continues_what_lies_there(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(BODY[:1000])
    download([server.url("good", "file.bin")], tmp_path / "file.bin", SHA)
    assert (tmp_path / "file.bin").read_bytes() == BODY
    assert server.requests[0][1] == "bytes=1000-"


def test_server_without_ranges_starts_anew(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"old" * 100)
    download([server.url("norange", "file.bin")], tmp_path / "file.bin", SHA)
    assert (tmp_path / "file.bin").read_bytes() == BODY


def test_part_of_another_file_is_thrown_away_and_the_place_asked_again(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"x" * 1000)
    download([server.url("good", "file.bin")], tmp_path / "file.bin", SHA)
    assert (tmp_path / "file.bin").read_bytes() == BODY
    assert [asked for _, asked in server.requests] == ["bytes=1000-", None]


def test_a_place_without_the_file_does_not_spoil_what_is_there(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(BODY[:1000])
    download([server.url("missing", "file.bin"), server.url("good", "file.bin")], tmp_path / "file.bin", SHA)
    assert server.requests[-1][1] == "bytes=1000-"


def test_unwritable_folder(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"file\.bin\.part could not be written"):
        download([server.url("good", "file.bin")], tmp_path / "file" / "file.bin", SHA)


def test_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(BODY + b"more")
    download([server.url("good", "file.bin")], tmp_path / "file.bin", SHA)
    assert (tmp_path / "file.bin").read_bytes() == BODY


@pytest.mark.parametrize("bad", ["missing", "corrupt", "truncated"])
def test_mirrors_in_turn(server, tmp_path, bad):
    urls = [server.url(bad, "file.bin"), server.url("good", "file.bin")]
    download(urls, tmp_path / "file.bin", SHA)
    assert (tmp_path / "file.bin").read_bytes() == BODY


def test_stall_counts_as_broken(server, tmp_path):
    with pytest.raises(
        DatasetError, match=r"file\.bin could not be downloaded: .*broke off after 524288 bytes \(timed out\)"
    ):
        download([server.url("stalls", "file.bin")], tmp_path / "file.bin", SHA, attempts=1, timeout_s=0.2)
    assert not (tmp_path / "file.bin").exists()
    assert (tmp_path / "file.bin.part").stat().st_size == len(BODY) // 2


def test_says_why_for_every_place(server, tmp_path):
    urls = [server.url(manner, "file.bin") for manner in ("missing", "corrupt", "truncated")]
    with pytest.raises(DatasetError) as caught:
        download(urls, tmp_path / "file.bin", SHA)
    message = str(caught.value)
    assert "HTTP 404" in message
    wrong = hashlib.sha256(bytes(byte ^ 1 for byte in BODY)).hexdigest()
    assert f"sha256 is {wrong}, expected {SHA[7:]}" in message
    assert f"broke off after {len(BODY) // 2} of {len(BODY)} bytes" in message
    assert not (tmp_path / "file.bin").exists()
    assert "\n" not in message


def test_no_network(tmp_path):
    with LocalServer({}) as server:
        url = server.url("good", "file.bin")
    with pytest.raises(DatasetError, match=r"no connection .*refused"):
        download([url], tmp_path / "file.bin", SHA)
    assert leftovers(tmp_path) == []


def test_refuses_what_is_too_large(server, tmp_path):
    with pytest.raises(DatasetError, match="larger than 1000 bytes"):
        download([server.url("good", "file.bin")], tmp_path / "file.bin", SHA, max_bytes=1000)
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs the limit on file sizes of Linux")
def test_full_disk_is_not_a_broken_connection(server, tmp_path):
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from datasets.files.download import check_file, download\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "download([sys.argv[1]] * 2, Path(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", program, server.url("good", "file.bin"), tmp_path / "file.bin"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "DatasetError" in done.stderr
    assert "file.bin.part could not be written (File too large)" in done.stderr
    assert len(server.requests) == 1
