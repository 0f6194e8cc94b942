"""What every verb is given: the store, and ways to report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.progress import Reporter, silent
from llamarec_cli.store.manifest import Kind
from llamarec_cli.store.registry import Store


def _say_nothing(_: str) -> None:
    """Default of the callbacks."""


@dataclass(frozen=True)
class Context:
    """Surroundings of a verb.

    Attributes:
        store: Where artefacts are.
        command: The command line, for manifests.
        report: Progress of long work.
        say: What happens now, such as a step that is taken because its result was missing.
        warn: What the user should know about the result.
        auto: Whether missing steps are taken; else they are refused.
        sources: Where each setting came from that is not a default, by `table.key`.
    """

    store: Store
    command: str
    report: Reporter = silent
    say: Callable[[str], None] = _say_nothing
    warn: Callable[[str], None] = _say_nothing
    auto: bool = True
    sources: Mapping[str, str] = field(default_factory=dict)

    def set_by(self, *tables: str) -> dict[str, str]:
        """Return where the settings of some tables came from, for manifests; what is not in it is a default."""
        return {key: source for key, source in self.sources.items() if key.split(".")[0] in tables}

    def warn_of_stale(self, name: str) -> None:
        """Warn of checkpoints that were made from what an artefact was before it was replaced."""
        digest = self.store.open(name).manifest.digest
        stale = [
            one.manifest.name
            for one in self.store.artefacts()
            if one.manifest.kind is not Kind.EVALUATION and one.manifest.parents.get(name, digest) != digest
        ]
        if stale:
            self.warn(f"Made from another {name}, and to be trained again: {', '.join(stale)}.")

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
