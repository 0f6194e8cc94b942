"""Forecast of the time that the missing retrievers of a blend take, shown before their training starts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llamarec_cli.artefacts.base_model import need_base_model, title_vectors_name
from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.retrievers import retriever_name
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.devices import best_device
from llamarec_cli.language_model.base_models import compute_dtype
from llamarec_cli.pipeline.bench.machine import matrix_gflops
from llamarec_cli.pipeline.train.retriever_plan import RetrieverRequest
from llamarec_cli.retrieval.registry import RETRIEVERS

# Share of the machine's matrix product rate that a language model reaches on short titles.
_UTILISATION = 0.4
_CHARACTERS_PER_TOKEN = 4
_TITLE_TOKENS = 24


def announce_members(context: Context, request: RetrieverRequest, data: PreparedData, members: Sequence[str]) -> None:
    """Say which retrievers of a blend are missing or stale, and how long their training takes at most.

    Args:
        context: Store and reporting callbacks.
        request: The blend; its `max_minutes` limits each training, by default the row's `member_minutes`.
        data: The data set.
        members: Names of the blended retrievers.
    """
    dataset = request.dataset

    def is_trained(name: str) -> bool:
        checkpoint = retriever_name(dataset, name)
        return checkpoint in context.store and not (request.replace and context.is_stale(checkpoint))

    missing = [name for name in members if name in RETRIEVERS and not is_trained(name)]
    if not missing:
        return
    limit = request.max_minutes
    minutes = {name: RETRIEVERS[name].member_minutes if limit is None else limit for name in missing}
    phrases = [f"{name} (at most {_amount(minutes[name])})" for name in missing]
    total = sum(minutes.values())
    unread = title_vectors_name(dataset, request.base) not in context.store
    if unread and any(request.reads_language_model(name) for name in missing):
        reading = _reading_minutes(context, data, request.base)
        phrases.append(f"reading the titles with {request.base} (about {_amount(math.ceil(reading))})")
        total += reading
    together = f", {_amount(math.ceil(total))} at most in all" if len(phrases) > 1 else ""
    context.say(f"Training first: {', '.join(phrases)}{together}; less if training stops early.")


def _amount(minutes: float) -> str:
    return f"{minutes:g} minute{'' if minutes == 1 else 's'}"


def _reading_minutes(context: Context, data: PreparedData, base: str) -> float:
    """Estimate the time a language model takes for a catalogue's titles, at two operations per weight and token."""
    weights = sum(path.stat().st_size for path in need_base_model(context, base).path.glob("*.safetensors")) / 2
    tokens = sum(min(_TITLE_TOKENS, 1 + len(title) // _CHARACTERS_PER_TOKEN) for title in data.titles)
    rate = _UTILISATION * 1e9 * matrix_gflops(compute_dtype(best_device()))
    # Half of the weights take part: one third of the layers is skipped, and the embeddings are only looked up.
    return max(1.0, 2 * weights * tokens / 2 / rate / 60)
