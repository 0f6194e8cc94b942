"""Execution context of the pipeline: the store, and callbacks that report to the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.progress import Reporter, silent
from llamarec_cli.store.manifest import Kind
from llamarec_cli.store.registry import Store


def _say_nothing(_: str) -> None:
    """Ignore a message."""


@dataclass(frozen=True)
class Context:
    """Store, command line and reporting callbacks of one command.

    Attributes:
        store: The artefact store.
        command: The command line, for manifests.
        report: Progress callback.
        say: Informs the user, for example that a missing artefact is being made.
        warn: Warns the user about the result.
        auto: Whether missing artefacts are made; if not, a missing artefact is an error.
        sources: Origin of each setting that is not a default, by `table.key`: a file, a variable or `flag`.
    """

    store: Store
    command: str
    report: Reporter = silent
    say: Callable[[str], None] = _say_nothing
    warn: Callable[[str], None] = _say_nothing
    auto: bool = True
    sources: Mapping[str, str] = field(default_factory=dict)

    def set_by(self, *tables: str) -> dict[str, str]:
        """Return the origins of the settings of some tables, for manifests; settings that are missing are defaults."""
        return {key: source for key, source in self.sources.items() if key.split(".")[0] in tables}

    def warn_of_stale(self, name: str) -> None:
        """Warn of checkpoints that were made from an earlier version of an artefact."""
        digest = self.store.open(name).manifest.digest
        stale = [
            one.manifest.name
            for one in self.store.artefacts()
            if one.manifest.kind is not Kind.EVALUATION and one.manifest.parents.get(name, digest) != digest
        ]
        if stale:
            names = ", ".join(stale)
            self.warn(f"These were made from an earlier version of {name} and must be trained again: {names}.")

    def is_stale(self, name: str) -> bool:
        """Tell whether a checkpoint was made from an earlier version of something that the store holds now."""
        parents = self.store.open(name).manifest.parents
        return any(
            parent in self.store and self.store.open(parent).manifest.digest != digest
            for parent, digest in parents.items()
        )

    def take_step(self, missing: str, step: str, doing: str = "creating") -> None:
        """Announce that a missing artefact is created now, or raise if that is not allowed.

        Args:
            missing: Name of the missing artefact.
            step: The command that creates it.
            doing: What the step does, as a participle.

        Raises:
            LlamaRecError: Missing artefacts must not be created (`auto` is False).
        """
        if not self.auto:
            raise LlamaRecError(f"The store holds no {missing}.", step)
        self.say(f"{missing} is not in the store yet; {doing} it ({step}).")
