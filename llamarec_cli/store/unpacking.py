"""Safe unpacking of untrusted archives.

First the zstandard frame is checked by its block headers alone: that it is complete, that no data follows it, and an
upper bound on the unpacked size. Then the tar members are read one by one, with limits on header size, and on content
by the free disk space. The end of the tar is checked too.
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
# Most parts of a member's path: artefact folder, subfolders, file.
_DEPTH = 8
# Largest header of a member, extensions included; ours take two blocks of 512 bytes.
_HEADER_BYTES = 1 << 20
# Largest compression ratio, and a size that is always allowed. Weights compress to half at best, counts to a tenth;
# files of mostly zeros compress more, but are small.
_RATIO, _ALWAYS_ALLOWED = 1000, 64 << 20
# zstandard format: largest unpacked block, size of a block header, two block types, size of the checksum.
_BLOCK, _BLOCK_HEADER, _REPEATED, _RESERVED, _CHECKSUM = 128 << 10, 3, 1, 3, 4
_FRAME_HEADER = 18
# A tar ends with two blocks of zeros, padded to a record.
_END, _RECORD = 1024, 10_240
_DAMAGED = "Export it again."
_HOSTILE = "Do not use it; check where it came from."


def unpack(path: Path, folder: Path, report: Reporter) -> None:
    """Unpack an archive that may hold nothing but regular files inside artefact folders.

    Args:
        path: The archive.
        folder: An empty folder to unpack into.
        report: Progress in members.

    Raises:
        LlamaRecError: It is not an archive, truncated, too large, or has a member that is not allowed.
        OSError: The disk is full.
    """
    try:
        _check_frame(path)
        with _opened(path) as (archive, source):
            _extract(path, archive, source, folder, report)
            source.check_end(archive.offset)
    except OSError as error:
        # The store reports a full disk; clashing or overlong names are the archive's fault.
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        raise LlamaRecError(f"{path} cannot be unpacked ({error.strerror}).", _DAMAGED) from error
    except (tarfile.TarError, zstandard.ZstdError, EOFError, ValueError) as error:
        raise LlamaRecError(f"{path} is not an archive of llamarec ({error}).", _DAMAGED) from error


def _check_frame(path: Path) -> None:
    """Walk over the blocks of the archive's single zstandard frame without unpacking any."""
    with path.open("rb") as raw:
        size = path.stat().st_size
        header = raw.read(_FRAME_HEADER)
        frame = zstandard.get_frame_parameters(header)
        place = zstandard.frame_header_size(header)
        blocks, last = 0, False
        while not last:
            raw.seek(place)
            block = int.from_bytes(raw.read(_BLOCK_HEADER), "little")
            last, kind, length = bool(block & 1), (block >> 1) & 3, block >> 3
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
        raise LlamaRecError(f"{path} has data after its end.", _HOSTILE)
    if blocks * _BLOCK > _ALWAYS_ALLOWED + _RATIO * size:
        raise LlamaRecError(
            f"{path} has {size:,} bytes and could unpack to {blocks * _BLOCK:,}: no export does.",
            _HOSTILE,
        )


class _Source:
    """Stream of unpacked bytes with a read limit, so that a header cannot demand more bytes than headers need.

    Args:
        path: The archive, for messages.
        packed: The decompressing stream.
    """

    def __init__(self, path: Path, packed: IO[bytes]) -> None:
        self._path, self._packed = path, packed
        self._given, self._allowed, self._tail = 0, 0, b""

    def allow(self, count: int) -> None:
        """Set the read limit to `count` bytes from the current position."""
        self._allowed = self._given + count + _RECORD

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes, or fewer at the end of the stream."""
        if self._given + count > self._allowed:
            raise LlamaRecError(f"{self._path} has a member header larger than {_HEADER_BYTES:,} bytes.", _HOSTILE)
        content = self._packed.read(count)
        self._given += len(content)
        self._tail = (self._tail + content)[-2 * _RECORD :]
        return content

    def check_end(self, members_end: int) -> None:
        """Raise unless the last member is followed by the end marker of a tar, and nothing else.

        Args:
            members_end: Offset of the end of the last member.
        """
        while self.read(_RECORD):
            self.allow(_RECORD)
        rest = self._given - members_end
        if rest < _END:
            raise _cut_off(self._path)
        if rest > len(self._tail) or self._tail[-rest:].strip(b"\0"):
            raise LlamaRecError(f"{self._path} has data after its end.", _HOSTILE)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[tarfile.TarFile, _Source]]:
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as packed:
        source = _Source(path, packed)
        source.allow(_HEADER_BYTES)
        # tarfile calls only `read` of a stream opened so.
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
            raise LlamaRecError(f"{path} contains more than {_MEMBERS:,} files.", _HOSTILE)
        target = folder / _safe(path, member)
        if target.exists():
            raise LlamaRecError(f"{path} contains {member.name!r} twice.", _HOSTILE)
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
            f"{path} contains {member.name[:200]!r}, which is not allowed in an archive; nothing was imported.",
            _HOSTILE,
        )
    return name


def _cut_off(path: Path) -> LlamaRecError:
    return LlamaRecError(f"{path} is truncated: its end is missing.", "Copy or export it again.")
