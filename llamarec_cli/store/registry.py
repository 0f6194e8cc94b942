"""The store itself: find, make, list, remove.

Layout of the home (`LLAMAREC_HOME`, else the platform's folder for user data):

    .llamarec-home/           empty: the mark of a home; a folder without it that is not empty is refused
    artefacts/games           a data set                 "/" in a name is "--" on disk
    artefacts/games--lrurec   a checkpoint
    downloads/                raw files as fetched
    work/                     states of interrupted trainings
    locks/                    one file a name that is being made, held by the process that makes it
    staging/                  what is being made, each beside a lock; swept when nobody holds that any more
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

# Behind the name of a saved state that could not be read and was set aside.
UNREADABLE = ".unreadable"


class Store:
    """The cached registry of data sets, base models and checkpoints.

    Args:
        home: Its folder; made when first written to.
        inspect: Told of each artefact that is opened and whose digests fit; returns what is wrong with its content.
    """

    def __init__(self, home: Path, inspect: Callable[[Artefact], str | None] = lambda _: None) -> None:
        self.home = home
        self._inspect = inspect
        self._folder = home / "artefacts"
        self._staging = Staging(home, self._folder)
        self._locks = NameLocks(home)

    def tidy(self) -> list[str]:
        """Mark the home of an earlier version, remove what killed processes left, and undo their half replacements.

        A home that may only be read is left as it is.

        Returns:
            Names of artefacts that had been moved aside and are back.

        Raises:
            HomeError: The home is somebody else's, or cannot be used.
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
        """Return where an artefact of that name is or would be.

        Raises:
            UsageError: The name is not well formed.
        """
        return self._folder / place_of(name)

    def open(self, name: str, kind: Kind | None = None) -> Artefact:
        """Open an artefact after checking that it is undamaged.

        Raises:
            LlamaRecError: There is none of that name and kind, or it is damaged.
        """
        if name not in self:
            # A replacement may have been killed between its two renames; what it moved aside is put back.
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
        if wrong := f"{damaged} is not what its manifest says" if damaged else self._inspect(artefact):
            raise LlamaRecError(f"{name} is damaged: {wrong}.", f"llamarec store remove {name}, then make it anew.")
        return artefact

    def artefacts(self) -> list[Artefact]:
        """Return every complete artefact, by name.

        A folder without a manifest does not exist, and one whose manifest cannot be read is left out: see `damaged`.
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
        """Return the names of artefacts whose manifest cannot be read."""
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
        """Return a context that holds the lock of a name while an artefact of that name is made.

        It waits, and says so, if another process holds it. Within one process it may be taken again.

        Args:
            name: Name of the artefact.
            say: Told once if there is somebody to wait for.
        """
        return self._locks.held(name, say)

    @contextmanager
    def stage(self, manifest: Manifest, *, replace: bool = False) -> Iterator[Path]:
        """Make an artefact: fill the folder this yields, and it appears in the store as a whole or not at all.

        Args:
            manifest: Everything but files and versions, which are filled in at the end; its `metrics` may still be
                filled by the caller inside the block.
            replace: Whether an artefact of that name may be replaced.

        Raises:
            LlamaRecError: The name is taken, or the home cannot be written.
        """
        self.refuse_taken(manifest.name, manifest.kind, replace=replace)
        with self.scratch() as folder:
            yield folder
            write_manifest(folder, manifest)
            self._put(folder, manifest, replace=replace)

    def adopt(self, source: Path) -> None:
        """Copy a complete artefact from elsewhere into the store, under the name its manifest says.

        Raises:
            LlamaRecError: The name is taken, the artefact is damaged, or the home cannot be written.
        """
        manifest = read_manifest(source)
        self.refuse_taken(manifest.name, manifest.kind, replace=False)
        with self.scratch() as folder:
            copy = Artefact(folder / "copy", manifest)
            shutil.copytree(source, copy.path)
            if damaged := damaged_file(copy.path, manifest):
                raise LlamaRecError(
                    f"{source} is damaged: {damaged} is not what its manifest says.", "Install llamarec again."
                )
            self._put(copy.path, manifest, replace=False)

    def refuse_taken(self, name: str, kind: Kind, *, replace: bool) -> None:
        """Raise if an artefact of that name exists and may not be replaced: nothing is overwritten silently.

        Raises:
            LlamaRecError: The name is taken, or is that of an artefact of another kind.
        """
        with using_home(self.home):
            self._staging.sweep()
        if name not in self:
            if os.path.lexists(self.path_of(name)):
                raise LlamaRecError(
                    f"{self.path_of(name)} is in the way: it has no manifest, so llamarec did not make it.",
                    "Move it away, or give another --name.",
                )
            return
        if not replace:
            raise LlamaRecError(
                f"{name} exists already.", "Add --replace to overwrite it, or give the new one another name."
            )
        if name not in self.damaged() and (there := read_manifest(self.path_of(name)).kind) is not kind:
            raise LlamaRecError(f"{name} is a {there}, which a {kind} cannot replace.", "Give another --name.")
        self.refuse_foreign(name)

    def refuse_foreign(self, name: str) -> None:
        """Raise if the folder of an artefact holds files that its manifest does not know, before it is removed.

        Raises:
            LlamaRecError: It does.
        """
        if name in self.damaged():
            return
        if foreign := foreign_files(self.path_of(name), read_manifest(self.path_of(name))):
            raise LlamaRecError(
                f"The folder of {name} holds {foreign[0]}, which llamarec did not make.",
                f"Move it away: {self.path_of(name) / foreign[0]}",
            )

    def _put(self, folder: Path, manifest: Manifest, *, replace: bool) -> None:
        """Rename a complete folder into its place."""
        # Once more, since another process may have been faster.
        self.refuse_taken(manifest.name, manifest.kind, replace=replace)
        self._staging.put(folder, self.path_of(manifest.name).name)

    def scratch(self) -> AbstractContextManager[Path]:
        """Return a context that yields an empty folder of the home, removed at the end unless it was renamed away."""
        return self._staging.scratch()

    def remove(self, name: str) -> int:
        """Remove an artefact, damaged or not, and return the bytes set free."""
        return self.discard(self.path_of(name))

    def children_of(self, name: str) -> list[str]:
        """Return the names of the artefacts that were made from this one."""
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
        """Return the file that holds the state of an interrupted training of that name."""
        return self.work / f"{self.path_of(name).name}.safetensors"

    def verify(self, name: str) -> list[str]:
        """Recompute the digest of every file of an artefact, however large, and return what is wrong with it."""
        return wrong_files(self.path_of(name))

    def discard(self, path: Path) -> int:
        """Remove one file or folder of the home and return the bytes set free.

        One rename makes it vanish whole, even if the deletion behind it is interrupted.
        """
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files)
        with self.scratch() as folder:
            try:
                path.rename(folder / "removed")
            except FileNotFoundError:  # somebody else was faster
                return 0
        return size
