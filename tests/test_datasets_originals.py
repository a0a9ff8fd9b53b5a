import gzip
import hashlib
import io
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from datasets import DatasetError
from datasets.files.originals import Original, fetch
from tests.support.local_server import LocalServer


def tar_of(entries):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def test_fetch_unpacks_and_leaves_nothing_else(tmp_path):
    with LocalServer({"a.gz": gzip.compress(b"digits"), "b.tgz": tar_of({"x/photos/1.jpg": b"1"})}) as server:
        first = Original(path="MNIST/raw/a", urls=(server.url("good", "a.gz"),), kind="gzip")
        second = Original(path="photos/train", urls=(server.url("good", "b.tgz"),), kind="tar", member="photos")
        assert fetch(first, tmp_path).read_bytes() == b"digits"
        assert os.listdir(fetch(second, tmp_path)) == ["1.jpg"]
        requests = len(server.requests)
        fetch(first, tmp_path)
        assert len(server.requests) == requests  # what is there is not fetched again
    kept = [path.name for path in tmp_path.rglob("*") if path.is_file() and not path.name.endswith(".lock")]
    assert sorted(kept) == ["1.jpg", "a"]


def test_other_layouts_count_as_they_lie(tmp_path):
    original = Original(path="gtsrb/GTSRB/Training", also=("gtsrb/raw",), urls=("http://127.0.0.1:9/never",))
    (tmp_path / "gtsrb" / "raw").mkdir(parents=True)
    assert fetch(original, tmp_path) == tmp_path / "gtsrb" / "raw"


def test_by_hand_says_what_and_where(tmp_path):
    original = Original(path="office31/amazon", manual="download the archive from its page and unpack it")
    with pytest.raises(
        DatasetError, match="download the archive from its page and unpack it; it belongs at "
    ) as caught:
        fetch(original, tmp_path)
    assert str(tmp_path / "office31" / "amazon") in str(caught.value)


def test_contents_that_differ_leave_nothing(tmp_path):
    with LocalServer({"b.tgz": tar_of({"photos/1.jpg": b"swapped"})}) as server:
        url = server.url("good", "b.tgz")
        original = Original(path="photos", urls=(url,), kind="tar", member="photos", contents="0" * 64)
        with pytest.raises(DatasetError, match=r"photos: SHA-256 of the contents is [0-9a-f]{64}, expected 0{64}"):
            fetch(original, tmp_path)
    assert not (tmp_path / "photos").exists()


def test_read_only_root_names_the_variable(tmp_path):
    (tmp_path / "file").write_text("")
    original = Original(path="a", urls=("http://127.0.0.1:9/a",))
    with pytest.raises(DatasetError, match="set GRL_DATA to a folder that can"):
        fetch(original, tmp_path / "file")


def test_two_at_once_download_once(tmp_path):
    body = os.urandom(1 << 20)
    with LocalServer({"a": body}) as server:
        checksum = f"md5:{hashlib.md5(body).hexdigest()}"
        original = Original(path="a", urls=(server.url("good", "a"),), checksum=checksum)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: fetch(original, tmp_path), range(4)))
        assert len(server.requests) == 1
    assert (tmp_path / "a").read_bytes() == body
