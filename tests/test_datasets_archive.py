import gzip
import io
import os
import tarfile
import zipfile

import pytest

from datasets import DatasetError
from datasets.files.archive import folder_digest, unpack


def make_tar(path, entries):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content
                tar.addfile(info)
    return path


def make_zip(path, entries):
    with zipfile.ZipFile(path, "w") as zipped:
        for name, content in entries:
            zipped.writestr(name, content)
    return path


GOOD = [("top/BSR/images/train/1.jpg", b"one"), ("top/BSR/images/train/sub/2.jpg", b"two"), ("top/other.txt", b"x")]


@pytest.mark.parametrize(("kind", "make"), [("tar", make_tar), ("zip", make_zip)])
def test_takes_the_member_from_wherever_it_lies(tmp_path, kind, make):
    archive = make(tmp_path / "a", GOOD)
    unpack(archive, kind, "BSR/images/train", tmp_path / "data" / "train")
    found = {
        path.relative_to(tmp_path / "data").as_posix(): path.read_bytes()
        for path in (tmp_path / "data").rglob("*")
        if path.is_file()
    }
    assert found == {"train/1.jpg": b"one", "train/sub/2.jpg": b"two"}


def test_only_what_the_pattern_names(tmp_path):
    archive = make_tar(tmp_path / "a", [("in/1.jpg", b"1"), ("in/Thumbs.db", b"2")])
    unpack(archive, "tar", "in", tmp_path / "place", pattern="*.jpg")
    assert os.listdir(tmp_path / "place") == ["1.jpg"]


def test_what_a_killed_process_left_is_swept_away(tmp_path):
    (tmp_path / ".place.partial" / "place").mkdir(parents=True)
    (tmp_path / ".place.partial" / "place" / "half.jpg").write_bytes(b"half")
    unpack(make_tar(tmp_path / "a", [("in/1.jpg", b"1")]), "tar", "in", tmp_path / "place")
    assert sorted(os.listdir(tmp_path)) == ["a", "place"]
    assert os.listdir(tmp_path / "place") == ["1.jpg"]


def test_gzip(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"content"))
    unpack(tmp_path / "a.gz", "gzip", "", tmp_path / "raw" / "a")
    assert (tmp_path / "raw" / "a").read_bytes() == b"content"
    assert os.listdir(tmp_path / "raw") == ["a"]


def refused(tmp_path, archive, kind, match, **limits):
    with pytest.raises(DatasetError, match=match):
        unpack(archive, kind, "in", tmp_path / "data" / "place", **limits)
    assert not (tmp_path / "data").exists() or os.listdir(tmp_path / "data") == []


@pytest.mark.parametrize("name", ["../evil", "in/../../evil", "/tmp/evil", "C:/evil", "in\\..\\..\\evil"])
@pytest.mark.parametrize(("kind", "make"), [("tar", make_tar), ("zip", make_zip)])
def test_nothing_outside(tmp_path, kind, make, name):
    archive = make(tmp_path / "a", [("in/good", b"1"), (name, b"2")])
    refused(tmp_path, archive, kind, "tries to write outside its folder")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_no_links_or_devices_in_tar(tmp_path, kind):
    archive = make_tar(tmp_path / "a", [("in/link", (kind, "/etc/passwd"))])
    refused(tmp_path, archive, "tar", "holds a link or device")


def test_no_links_in_zip(tmp_path):
    info = zipfile.ZipInfo("in/link")
    info.external_attr = 0o120777 << 16
    archive = make_zip(tmp_path / "a", [(info, "/etc/passwd")])
    refused(tmp_path, archive, "zip", "holds a link or device")


@pytest.mark.parametrize(("kind", "make"), [("tar", make_tar), ("zip", make_zip)])
def test_size_limits(tmp_path, kind, make):
    archive = make(tmp_path / "a", [("in/zeros", bytes(1 << 20)), ("in/more", b"")])
    refused(tmp_path, archive, kind, "more than the 1000 bytes", max_bytes=1000)
    refused(tmp_path, archive, kind, "more than 1 entries", max_files=1)


@pytest.mark.parametrize("cut", [0, 10, -20])
@pytest.mark.parametrize(("kind", "make"), [("tar", make_tar), ("zip", make_zip)])
def test_truncated(tmp_path, kind, make, cut):
    archive = make(tmp_path / "a", [("in/noise", os.urandom(5000))])
    archive.write_bytes(archive.read_bytes()[:cut])
    refused(tmp_path, archive, kind, r"a cannot be read|does not hold in")


def test_missing_member(tmp_path):
    refused(tmp_path, make_tar(tmp_path / "a", [("else", b"")]), "tar", "does not hold in")


def test_check_refuses(tmp_path):
    def check(unpacked):
        raise DatasetError(f"no {unpacked.name}")

    refused(tmp_path, make_tar(tmp_path / "a", [("in/x", b"")]), "tar", "no place", check=check)


def test_folder_digest_sees_names_and_contents(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    first = folder_digest(tmp_path)
    assert first == folder_digest(tmp_path)
    (tmp_path / "a").write_bytes(b"2")
    second = folder_digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({first, second, folder_digest(tmp_path)}) == 3
