"""How long the retrievers of a blend will take to make, told before it begins."""

from __future__ import annotations

from collections.abc import Sequence

from llamarec_cli.artefacts.base_model import need_base_model, title_vectors_name
from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.retrievers import retriever_name
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.devices import best_device
from llamarec_cli.language_model.base_models import compute_dtype
from llamarec_cli.pipeline.bench.machine import matrix_gflops
from llamarec_cli.retrieval.models import RETRIEVERS
from llamarec_cli.retrieval.presets import MEMBER_MINUTES

# Of a machine's matrix products what a language model reaches with titles of few tokens.
_REACHED = 0.4
_CHARACTERS_A_TOKEN = 4


def announce_members(
    context: Context,
    dataset: str,
    data: PreparedData,
    members: Sequence[str],
    base: str | None,
    max_minutes: float | None,
) -> None:
    """Say which retrievers of a blend are missing, and how long each of them takes at most.

    Args:
        context: Surroundings.
        dataset: Name of the data set.
        data: The data set.
        members: Names of the retrievers.
        base: The language model that reads titles; None where none does.
        max_minutes: Limit of each training; by default `MEMBER_MINUTES`.
    """
    missing = [one for one in members if one in RETRIEVERS and retriever_name(dataset, one) not in context.store]
    minutes = {one: MEMBER_MINUTES.get(one, 0) if max_minutes is None else max_minutes for one in missing}
    phrases = [f"{one} in at most {minutes[one]:g} minutes" for one in missing]
    total = sum(minutes.values())
    read = base is None or title_vectors_name(dataset, base) in context.store
    if base is not None and not read and any(RETRIEVERS[one].reads_titles for one in missing):
        reading = _reading_minutes(context, data, base)
        phrases.append(f"the titles read by {base} in about {reading:.0f}")
        total += reading
    if phrases:
        context.say(f"To be made first: {', '.join(phrases)}; {total:.0f} minutes at most, less if they end early.")


def _reading_minutes(context: Context, data: PreparedData, base: str) -> float:
    """Estimate how long a language model reads a catalogue's titles: two operations a weight and token."""
    weights = sum(path.stat().st_size for path in need_base_model(context, base).path.glob("*.safetensors")) / 2
    tokens = sum(min(24, 1 + len(title) // _CHARACTERS_A_TOKEN) for title in data.titles)
    rate = _REACHED * 1e9 * matrix_gflops(compute_dtype(best_device()))
    # Two thirds of the layers are read, and the embeddings are looked up.
    return max(1.0, 2 * weights * tokens / 2 / rate / 60)
