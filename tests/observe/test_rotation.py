"""A file that several append to: whole lines, private, and never longer than it may be."""

import errno
import multiprocessing
import os
import stat

import pytest

from llmroute.observe.rotation import RotatingFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bodies.jsonl"


def test_it_is_for_its_owner_alone(path):
    before = os.umask(0)
    try:
        RotatingFile(path, most_bytes=100, files=1).write(b"line\n")
    finally:
        os.umask(before)

    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("files", "left"),
    [
        pytest.param(0, ["bodies.jsonl"], id="none-kept"),
        pytest.param(1, ["bodies.jsonl", "bodies.jsonl.1"], id="one-kept"),
        pytest.param(2, ["bodies.jsonl", "bodies.jsonl.1", "bodies.jsonl.2"], id="two-kept"),
    ],
)
def test_full_files_are_put_aside_and_the_oldest_let_go(path, files, left):
    file = RotatingFile(path, most_bytes=20, files=files)
    for number in range(10):
        file.write(b"line %04d\n" % number)

    assert left == sorted(each.name for each in path.parent.iterdir())
    assert b"line 0008\nline 0009\n" == path.read_bytes()
    if files:
        assert b"line 0006\nline 0007\n" == path.with_name("bodies.jsonl.1").read_bytes()


def test_a_line_that_is_longer_than_a_file_may_be_has_one_of_its_own(path):
    file = RotatingFile(path, most_bytes=20, files=3)
    for line in (b"short\n", b"x" * 50 + b"\n", b"short\n"):
        file.write(line)

    names = ["bodies.jsonl.2", "bodies.jsonl.1", "bodies.jsonl"]
    assert [6, 51, 6] == [path.with_name(name).stat().st_size for name in names]


@pytest.mark.parametrize("how", ["moved", "deleted"])
def test_one_that_others_take_away_is_begun_anew(path, how):
    file = RotatingFile(path, most_bytes=1000, files=3)
    file.write(b"one\n")
    if how == "moved":
        path.rename(path.with_name("elsewhere"))
    else:
        path.unlink()
    file.write(b"two\n")

    assert b"two\n" == path.read_bytes()


def test_it_goes_on_where_it_was(path):
    for line in (b"one\n", b"two\n"):
        file = RotatingFile(path, most_bytes=1000, files=3)
        file.write(line)
        file.close()

    assert b"one\ntwo\n" == path.read_bytes()


def test_half_a_line_does_not_stay(path, monkeypatch):
    file = RotatingFile(path, most_bytes=1000, files=3)
    file.write(b"one\n")
    write = os.write

    def full(descriptor, data):
        monkeypatch.setattr(os, "write", fail)
        return write(descriptor, bytes(data[:3]))

    def fail(descriptor, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        file.write(b"two\n")
    monkeypatch.setattr(os, "write", write)
    file.write(b"three\n")

    assert b"one\nthree\n" == path.read_bytes()


def _append(path, name):
    file = RotatingFile(path, most_bytes=20_000, files=1000)
    for number in range(300):
        file.write(f"{name} {number:04} {'x' * 80}\n".encode())


def test_processes_lose_no_line_to_each_other(path):
    start = multiprocessing.get_context("spawn").Process
    processes = [start(target=_append, args=(path, name)) for name in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(50)

    assert [0, 0, 0] == [process.exitcode for process in processes]
    files = list(path.parent.iterdir())
    assert all(file.stat().st_size <= 20_000 for file in files)
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert [f"{name} {n:04} {'x' * 80}" for name in "abc" for n in range(300)] == sorted(lines)
