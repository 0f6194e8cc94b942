"""The store: find, create, list and remove artefacts.

Layout of the home (`LLAMAREC_HOME`, or the platform's folder for user data):

    .llamarec-home/           empty folder, the marker of a home; a non-empty folder without it is refused
    artefacts/games           a data set ("/" in a name is "--" on disk)
    artefacts/games--lrurec   a checkpoint
    downloads/                raw files as fetched
    work/                     states of interrupted trainings
    locks/                    one lock file for each artefact being created
    staging/                  folders being filled, each beside its lock; removed once the lock is free
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from llamarec_cli.errors import LlamaRecError, nearest
from llamarec_cli.store.artefact import Artefact as Artefact
from llamarec_cli.store.home import claim_home, using_home
from llamarec_cli.store.integrity import damaged_file, foreign_files, wrong_files
from llamarec_cli.store.locks import NameLocks
from llamarec_cli.store.manifest import MANIFEST_FILE, Kind, Manifest, read_manifest, write_manifest
from llamarec_cli.store.names import name_of, place_of
from llamarec_cli.store.staging import Staging

# Suffix of a saved training state that could not be read and was moved aside.
UNREADABLE = ".unreadable"


class Store:
    """The registry of data sets, base models and checkpoints.

    Args:
        home: Its folder, created on first write.
        inspect: Called for each artefact opened, after its digests were verified; returns what is wrong with its
            content, or None.
    """

    def __init__(self, home: Path, inspect: Callable[[Artefact], str | None] = lambda _: None) -> None:
        self.home = home
        self._inspect = inspect
        self._folder = home / "artefacts"
        self._staging = Staging(home, self._folder)
        self._locks = NameLocks(home)

    def tidy(self) -> list[str]:
        """Mark a home of an earlier version, remove leftovers of killed processes, and undo their partial replacements.

        A read-only home is left unchanged.

        Returns:
            Names of the artefacts that were restored.

        Raises:
            HomeError: The folder is not a home, or unusable.
        """
        with using_home(self.home):
            if not self.home.is_dir() or not any(self.home.iterdir()):
                return []
            with suppress(OSError):
                claim_home(self.home)
            self._locks.sweep()
            return [name_of(place) for place in self._staging.sweep()]

    def __contains__(self, name: str) -> bool:
        with using_home(self.home):
            return (self.path_of(name) / MANIFEST_FILE).is_file()

    def path_of(self, name: str) -> Path:
        """Return the folder of an artefact, whether it exists or not.

        Raises:
            UsageError: The name is not well formed.
        """
        return self._folder / place_of(name)

    def open(self, name: str, kind: Kind | None = None) -> Artefact:
        """Open an artefact after verifying it.

        Args:
            name: Its name.
            kind: The kind it must have; None for any.

        Raises:
            LlamaRecError: There is none of that name and kind, or it is damaged.
        """
        if name not in self:
            # Undo a replacement that was killed between its two renames.
            with using_home(self.home):
                self._staging.sweep()
        if name not in self:
            raise LlamaRecError(
                f"The store holds no {name}: {nearest(name, (a.manifest.name for a in self.artefacts()))}",
                "llamarec store list",
            )
        artefact = Artefact(self.path_of(name), read_manifest(self.path_of(name)))
        if kind is not None and artefact.manifest.kind is not kind:
            raise LlamaRecError(f"{name} is a {artefact.manifest.kind}, not a {kind}.", "llamarec store list")
        damaged = damaged_file(artefact.path, artefact.manifest)
        if wrong := f"{damaged} does not match its manifest" if damaged else self._inspect(artefact):
            raise LlamaRecError(f"{name} is damaged: {wrong}.", f"llamarec store remove {name}, then create it again.")
        return artefact

    def artefacts(self) -> list[Artefact]:
        """Return every complete artefact, sorted by name.

        Folders without a manifest are incomplete. Those with an unreadable manifest are left out; see `damaged`.
        """
        found: list[Artefact] = []
        for folder in self._folders():
            with suppress(LlamaRecError):
                found.append(Artefact(folder, read_manifest(folder)))
        return found

    def names(self, kind: Kind) -> list[str]:
        """Return the names of all artefacts of a kind."""
        return [artefact.manifest.name for artefact in self.artefacts() if artefact.manifest.kind is kind]

    def damaged(self) -> list[str]:
        """Return the names of artefacts whose manifest is unreadable."""
        names: list[str] = []
        for folder in self._folders():
            try:
                read_manifest(folder)
            except LlamaRecError:
                names.append(name_of(folder.name))
        return names

    def _folders(self) -> list[Path]:
        with using_home(self.home):
            if not self._folder.is_dir():
                return []
            return sorted(path.parent for path in self._folder.glob(f"*/{MANIFEST_FILE}"))

    def making(self, name: str, say: Callable[[str], None]) -> AbstractContextManager[None]:
        """Return a context manager that holds the lock of a name while an artefact of that name is created.

        It waits while another process holds the lock, and is reentrant within this store.

        Args:
            name: Name of the artefact.
            say: Called once, with a message, if there is a process to wait for.
        """
        return self._locks.held(name, say)

    @contextmanager
    def stage(self, manifest: Manifest, *, replace: bool = False) -> Iterator[Path]:
        """Create an artefact atomically from the folder yielded, once the block has filled it.

        Args:
            manifest: The manifest without `files` and `versions`, which are added at the end; the block may still fill
                its `metrics`.
            replace: Whether to replace an artefact of that name.

        Raises:
            LlamaRecError: The name is taken, or the home is not writable.
        """
        self.refuse_taken(manifest.name, manifest.kind, replace=replace)
        with self.scratch() as folder:
            yield folder
            write_manifest(folder, manifest)
            self._put(folder, manifest, replace=replace)

    def adopt(self, source: Path) -> None:
        """Copy a complete artefact from another folder into the store, under the name in its manifest.

        Raises:
            LlamaRecError: The name is taken, the artefact is damaged, or the home is not writable.
        """
        manifest = read_manifest(source)
        self.refuse_taken(manifest.name, manifest.kind, replace=False)
        with self.scratch() as folder:
            copy = Artefact(folder / "copy", manifest)
            shutil.copytree(source, copy.path)
            if damaged := damaged_file(copy.path, manifest):
                raise LlamaRecError(
                    f"{source} is damaged: {damaged} does not match its manifest.", "Install llamarec again."
                )
            self._put(copy.path, manifest, replace=False)

    def refuse_taken(self, name: str, kind: Kind, *, replace: bool) -> None:
        """Raise if an artefact of that name exists and must not be replaced.

        Raises:
            LlamaRecError: The name is taken, or names an artefact of another kind.
        """
        with using_home(self.home):
            self._staging.sweep()
        if name not in self:
            if os.path.lexists(self.path_of(name)):
                raise LlamaRecError(
                    f"{self.path_of(name)} is in the way: it has no manifest, so it is not an artefact of llamarec.",
                    "Move it away, or give another `name`.",
                )
            return
        if not replace:
            raise LlamaRecError(
                f"{name} exists already.", "Add `replace` to overwrite it, or give the new one another name."
            )
        if name not in self.damaged() and (there := read_manifest(self.path_of(name)).kind) is not kind:
            raise LlamaRecError(f"{name} is a {there}, which a {kind} cannot replace.", "Give another `name`.")
        self.refuse_foreign(name)

    def refuse_foreign(self, name: str) -> None:
        """Raise if the folder of an artefact holds files that are not in its manifest, so that none is removed with it.

        Raises:
            LlamaRecError: It holds such a file.
        """
        if name in self.damaged():
            return
        if foreign := foreign_files(self.path_of(name), read_manifest(self.path_of(name))):
            raise LlamaRecError(
                f"The folder of {name} holds {foreign[0]}, which is not in its manifest.",
                f"Move it away: {self.path_of(name) / foreign[0]}",
            )

    def _put(self, folder: Path, manifest: Manifest, *, replace: bool) -> None:
        """Rename a complete folder to its final place."""
        # Checked again, since another process may have created it meanwhile.
        self.refuse_taken(manifest.name, manifest.kind, replace=replace)
        self._staging.put(folder, self.path_of(manifest.name).name)

    def scratch(self) -> AbstractContextManager[Path]:
        """Return a context manager that yields a temporary folder in the home, removed at the end unless renamed."""
        return self._staging.scratch()

    def remove(self, name: str) -> int:
        """Remove an artefact, damaged or not, and return the number of bytes freed."""
        return self.discard(self.path_of(name))

    def children_of(self, name: str) -> list[str]:
        """Return the names of the artefacts made directly from this one."""
        return [artefact.manifest.name for artefact in self.artefacts() if name in artefact.manifest.parents]

    @property
    def downloads(self) -> Path:
        """Folder of raw files as fetched."""
        return self.home / "downloads"

    @property
    def work(self) -> Path:
        """Folder of the states of interrupted trainings."""
        return self.home / "work"

    def training_state(self, name: str) -> Path:
        """Return the file for the state of an interrupted training of that name."""
        return self.work / f"{self.path_of(name).name}.safetensors"

    def verify(self, name: str) -> list[str]:
        """Recompute the digest of every file of an artefact, whatever its size, and return the faults."""
        return wrong_files(self.path_of(name))

    def discard(self, path: Path) -> int:
        """Remove a file or folder of the home and return the number of bytes freed.

        It is renamed first, so that it disappears atomically even if the deletion is interrupted.
        """
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files)
        with self.scratch() as folder:
            try:
                path.rename(folder / "removed")
            except FileNotFoundError:  # removed by another process
                return 0
        return size
