"""Unpacking an archive that nobody vouches for: bounded before it is read, and read to an end that is checked.

What is measured first is the zstandard frame, from the headers of its blocks alone: that it is whole, that nothing
stands behind it, and how much it can unpack to at most. Then members are read one by one; a header may take so many
bytes, and content what its header says and the disk has room for.
"""

from __future__ import annotations

import errno
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

import zstandard

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.progress import Progress, Reporter

_MEMBERS = 10_000
# Parts of a member's name: its artefact's folder, the file, and folders between them.
_DEPTH = 8
# Of one member's header, extensions included; those of our own take two blocks of 512.
_HEADER_BYTES = 1 << 20
# Weights shrink to a half at best, tables of counts to a tenth. What is mostly zeros shrinks more, and is small.
_RATIO, _ALWAYS_ALLOWED = 1000, 64 << 20
# Of the zstandard format: the most that a block unpacks to, the types of blocks, and the size of a checksum.
_BLOCK, _BLOCK_HEADER, _REPEATED, _RESERVED, _CHECKSUM = 128 << 10, 3, 1, 3, 4
_FRAME_HEADER = 18
# A tar ends in two blocks of zeros, filled up to a record.
_END, _RECORD = 1024, 10_240
_DAMAGED = "Export it again."
_HOSTILE = "Do not use this file, and ask where it came from."


def unpack(path: Path, folder: Path, report: Reporter) -> None:
    """Write the plain files of an archive into a folder; anything else in it is refused, and so is a way out.

    Args:
        path: The archive.
        folder: An empty folder.
        report: Progress in members.

    Raises:
        LlamaRecError: It is no archive, not whole, too large, or holds what has no place in one.
        OSError: The disk is full.
    """
    try:
        _check_frame(path)
        with _opened(path) as (archive, source):
            _extract(path, archive, source, folder, report)
            source.check_end(archive.offset)
    except OSError as error:
        # What is wrong with the disk is for the store to say; names that clash or are too long are the archive's fault.
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        raise LlamaRecError(f"{path} cannot be unpacked ({error.strerror}).", _DAMAGED) from error
    except (tarfile.TarError, zstandard.ZstdError, EOFError, ValueError) as error:
        raise LlamaRecError(f"{path} is no archive of llamarec ({error}).", _DAMAGED) from error


def _check_frame(path: Path) -> None:
    """Walk over the blocks of the one frame that an archive is, without unpacking any."""
    with path.open("rb") as raw:
        size = path.stat().st_size
        header = raw.read(_FRAME_HEADER)
        frame = zstandard.get_frame_parameters(header)
        place = zstandard.frame_header_size(header)
        blocks, last = 0, False
        while not last:
            raw.seek(place)
            told = int.from_bytes(raw.read(_BLOCK_HEADER), "little")
            last, kind, length = bool(told & 1), (told >> 1) & 3, told >> 3
            if kind == _RESERVED:
                raise ValueError("its blocks are damaged")
            place += _BLOCK_HEADER + (1 if kind == _REPEATED else length)
            blocks += 1
            if place > size:
                raise _cut_off(path)
        place += _CHECKSUM if frame.has_checksum else 0
    if place > size:
        raise _cut_off(path)
    if place < size:
        raise LlamaRecError(f"{path} goes on behind its end.", _HOSTILE)
    if blocks * _BLOCK > _ALWAYS_ALLOWED + _RATIO * size:
        raise LlamaRecError(
            f"{path} has {size:,} bytes and could unpack to {blocks * _BLOCK:,}, which no export does.", _HOSTILE
        )


class _Source:
    """Unpacked bytes, given out within an allowance, so that no header can ask for more than headers need.

    Args:
        path: The archive, for what is said.
        packed: Yields them.
    """

    def __init__(self, path: Path, packed: IO[bytes]) -> None:
        self._path, self._packed = path, packed
        self._given, self._allowed, self._tail = 0, 0, b""

    def allow(self, count: int) -> None:
        """Allow so many bytes from here on; those before do not count any more."""
        self._allowed = self._given + count + _RECORD

    def read(self, count: int) -> bytes:
        """Return the next bytes, as many as asked for unless they end."""
        if self._given + count > self._allowed:
            raise LlamaRecError(f"{self._path} has a header larger than any that llamarec writes.", _HOSTILE)
        content = self._packed.read(count)
        self._given += len(content)
        self._tail = (self._tail + content)[-2 * _RECORD :]
        return content

    def check_end(self, members_end: int) -> None:
        """Raise unless what follows the last member is the end of a tar, and nothing else.

        Args:
            members_end: Where the last member ends.
        """
        while self.read(_RECORD):
            self.allow(_RECORD)
        rest = self._given - members_end
        if rest < _END:
            raise _cut_off(self._path)
        if rest > len(self._tail) or self._tail[-rest:].strip(b"\0"):
            raise LlamaRecError(f"{self._path} goes on behind its end.", _HOSTILE)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[tarfile.TarFile, _Source]]:
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as packed:
        source = _Source(path, packed)
        source.allow(_HEADER_BYTES)
        # Of the methods of a file it calls this one alone.
        with tarfile.open(fileobj=source, mode="r|") as archive:  # type: ignore[call-overload]
            yield archive, source


def _extract(path: Path, archive: tarfile.TarFile, source: _Source, folder: Path, report: Reporter) -> None:
    number = 0
    while True:
        source.allow(_HEADER_BYTES)
        if (member := archive.next()) is None:
            return
        number += 1
        if number > _MEMBERS:
            raise LlamaRecError(f"{path} holds more than {_MEMBERS:,} files.", _HOSTILE)
        target = folder / _safe(path, member)
        if target.exists():
            raise LlamaRecError(f"{path} holds {member.name!r} twice.", _HOSTILE)
        if member.size > shutil.disk_usage(folder).free:
            raise OSError(errno.ENOSPC, f"{member.size:,} bytes are needed for {member.name!r}")
        source.allow(member.size + _HEADER_BYTES)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = archive.extractfile(member)
        assert content is not None
        with target.open("wb") as written:
            shutil.copyfileobj(content, written)
        report(Progress(f"unpack {path.name}", number))


def _safe(path: Path, member: tarfile.TarInfo) -> PurePosixPath:
    name = PurePosixPath(member.name)
    plain = not name.is_absolute() and ".." not in name.parts and "\\" not in member.name and member.name.isprintable()
    if not member.isreg() or member.issparse() or not plain or not 2 <= len(name.parts) <= _DEPTH:
        raise LlamaRecError(
            f"{path} holds {member.name[:200]!r}, which has no place in an archive; nothing was taken from it.",
            _HOSTILE,
        )
    return name


def _cut_off(path: Path) -> LlamaRecError:
    return LlamaRecError(f"{path} was cut off: its end is missing.", "Copy or export it again.")
