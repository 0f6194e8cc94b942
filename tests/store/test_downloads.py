"""Downloads from a server of our own on this machine, and wheels from a folder that stands for an index."""

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.store.downloads import fetch_url, fetch_wheel

CONTENT = bytes(range(256)) * 40


class _Handler(BaseHTTPRequestHandler):
    ranges: list[str | None] = []

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.ranges.append(asked)
        begin = int(re.findall(r"\d+", asked)[0]) if asked else 0
        if self.path.endswith("missing.csv"):
            self.send_error(404)
            return
        promised = len(CONTENT) - begin
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(promised))
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


def test_a_file_is_fetched_once(address: str, tmp_path: Path) -> None:
    for _ in range(2):
        assert fetch_url(f"{address}/data.csv", tmp_path).read_bytes() == CONTENT
    assert _Handler.ranges == [None]
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


def test_what_was_cut_off_goes_on(address: str, tmp_path: Path) -> None:
    (tmp_path / "data.csv.part").write_bytes(CONTENT[:1000])
    assert fetch_url(f"{address}/data.csv", tmp_path).read_bytes() == CONTENT
    assert _Handler.ranges == ["bytes=1000-"]


def test_a_missing_file_and_a_dead_server_are_sentences(address: str, tmp_path: Path) -> None:
    with pytest.raises(LlamaRecError, match="could not be fetched"):
        fetch_url(f"{address}/missing.csv", tmp_path)
    with pytest.raises(LlamaRecError, match="could not be fetched"):
        fetch_url("http://127.0.0.1:9/data.csv", tmp_path)
    assert not list(tmp_path.iterdir())


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


def test_a_wheel_comes_through_pip_and_is_checked(index: str, tmp_path: Path) -> None:
    target = tmp_path / "downloads"
    wheel = fetch_wheel("nothing", "1.0", WHEEL, index, 1000, target)
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == index
    assert [path.name for path in target.iterdir()] == [WHEEL]


def test_a_corrupt_wheel_is_refused_and_not_kept(index: str, tmp_path: Path) -> None:
    target = tmp_path / "downloads"
    with pytest.raises(LlamaRecError, match="corrupt or not the pinned one"):
        fetch_wheel("nothing", "1.0", WHEEL, "0" * 64, 1000, target)
    assert not list(target.iterdir())


def test_a_wheel_that_the_index_lacks_is_a_sentence(index: str, tmp_path: Path) -> None:
    with pytest.raises(LlamaRecError, match=r"pip could not fetch absent==2\.0"):
        fetch_wheel("absent", "2.0", "absent-2.0-py3-none-any.whl", index, 1000, tmp_path / "downloads")
