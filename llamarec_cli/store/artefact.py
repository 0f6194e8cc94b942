"""An artefact: a folder in the store and its manifest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from llamarec_cli.store.manifest import MANIFEST_FILE, Manifest


@dataclass(frozen=True)
class Artefact:
    """A complete artefact.

    Attributes:
        path: Its folder.
        manifest: Its manifest.
    """

    path: Path
    manifest: Manifest

    @property
    def created(self) -> datetime:
        """When its manifest was written; not part of the manifest, so that equal artefacts have equal bytes."""
        return datetime.fromtimestamp((self.path / MANIFEST_FILE).stat().st_mtime, tz=UTC)
