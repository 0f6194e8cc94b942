"""Downloads from a server of our own on this machine, and wheels from a folder that stands for an index."""

import hashlib
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.progress import Progress
from llamarec_cli.store.downloads import _bytes_in, fetch_url, fetch_wheel
from llamarec_cli.store.home import claim_home
from llamarec_cli.store.registry import Store

CONTENT = bytes(range(256)) * 40


class _Handler(BaseHTTPRequestHandler):
    ranges: list[str | None] = []
    tag = '"one"'

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.ranges.append(asked)
        if self.path.endswith("missing.csv"):
            self.send_error(404)
            return
        same = self.headers.get("If-Range") == self.tag
        begin = int(re.findall(r"\d+", asked)[0]) if asked and same else 0
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(CONTENT) - begin))
        self.send_header("ETag", self.tag)
        self.end_headers()
        self.wfile.write(CONTENT[begin:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    _Handler.ranges = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def store(store: Store) -> Store:
    """The store, in a home that is there."""
    claim_home(store.home)
    return store


def left(store: Store) -> list[str]:
    return sorted(path.name for path in store.home.rglob("*") if path.is_file())


def test_a_file_is_fetched_once(address: str, store: Store) -> None:
    for _ in range(2):
        assert fetch_url(store, f"{address}/data.csv", "set-1").read_bytes() == CONTENT
    assert _Handler.ranges == [None]
    assert left(store) == ["data.csv"]


def test_a_partial_download_resumes_if_the_file_is_unchanged(address: str, store: Store) -> None:
    for tag in ('"one"', '"other"'):
        folder = store.downloads / f"set-{tag[1:-1]}"
        folder.mkdir(parents=True)
        # Bytes that are recognisable, to see whether they were kept.
        (folder / "data.csv.part").write_bytes(CONTENT[:1000])
        (folder / "data.csv.validator").write_text(tag)
        assert fetch_url(store, f"{address}/data.csv", folder.name).read_bytes() == CONTENT
    assert _Handler.ranges == ["bytes=1000-", "bytes=1000-"]
    assert left(store) == ["data.csv"] * 2


def test_a_partial_download_without_validator_starts_over(address: str, store: Store) -> None:
    folder = store.downloads / "set-1"
    folder.mkdir(parents=True)
    (folder / "data.csv.part").write_bytes(b"something else")
    assert fetch_url(store, f"{address}/data.csv", "set-1").read_bytes() == CONTENT
    assert _Handler.ranges == [None]


def test_a_missing_file_and_a_dead_server_are_reported(address: str, store: Store) -> None:
    with pytest.raises(LlamaRecError, match="could not be fetched"):
        fetch_url(store, f"{address}/missing.csv", "set-1")
    with pytest.raises(LlamaRecError, match="could not be fetched"):
        fetch_url(store, "http://127.0.0.1:9/data.csv", "set-1")
    assert left(store) == []


def test_progress_is_in_bytes_under_the_title_or_the_name(address: str, store: Store) -> None:
    reports: list[Progress] = []
    fetch_url(store, f"{address}/data.csv", "set-1", reports.append, "Games (2014)")
    fetch_url(store, f"{address}/data.csv", "set-2", reports.append)
    size = len(CONTENT)
    assert reports == [
        Progress("Fetching Games (2014)", size, size, "data.csv", unit="bytes"),
        Progress("Fetching data.csv", size, size, unit="bytes"),
    ]


WHEEL = "nothing-1.0-py3-none-any.whl"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder with one wheel that pip takes for its index; returns the wheel's digest."""
    import zipfile

    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr("nothing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: nothing\nVersion: 1.0\n")
        wheel.writestr("nothing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("nothing-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return hashlib.sha256((folder / WHEEL).read_bytes()).hexdigest()


def test_a_wheel_is_fetched_by_pip_and_verified(index: str, store: Store) -> None:
    reports: list[Progress] = []
    wheel = fetch_wheel(store, "nothing", "1.0", WHEEL, index, 1000, reports.append, "Nothing")
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == index
    assert left(store) == [WHEEL]
    assert reports[-1] == Progress("Fetching Nothing", 1000, 1000, WHEEL, unit="bytes")


def test_a_corrupt_wheel_is_refused_and_not_kept(index: str, store: Store) -> None:
    with pytest.raises(LlamaRecError, match="corrupt or not the pinned file"):
        fetch_wheel(store, "nothing", "1.0", WHEEL, "0" * 64, 1000)
    assert left(store) == []


def test_a_wheel_missing_on_the_index_is_reported(index: str, store: Store) -> None:
    with pytest.raises(LlamaRecError, match=r"pip could not fetch absent==2\.0"):
        fetch_wheel(store, "absent", "2.0", "absent-2.0-py3-none-any.whl", index, 1000)


def test_folders_that_vanish_while_counting_are_skipped(tmp_path: Path) -> None:
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            folder = tmp_path / "pip-unpack"
            (folder / "deep").mkdir(parents=True)
            (folder / "deep" / "file").write_bytes(b"x")
            shutil.rmtree(folder)

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(2000):
            assert _bytes_in(tmp_path) in (0, 1)
    finally:
        stop.set()
        thread.join()
