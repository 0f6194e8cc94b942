"""The ways to read a language model as a ranker, by name.

A further one is a file with its scorer, and a row here. Nothing heavy is imported before a row is used, since help and
completion read the names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamarec_cli.errors import UnknownNameError
from llamarec_cli.strategies.prompt import MAX_TITLE_TOKENS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from llamarec_cli.names import Precision
    from llamarec_cli.ranking.scorer import CandidateScorer
    from llamarec_cli.strategies.prompt_encoder import PromptEncoder

PRIORS_FILE = "priors.safetensors"


@dataclass(frozen=True)
class ScorerOptions:
    """Options of a scorer; each strategy reads those that concern it.

    Attributes:
        priors: For `likelihood`: log p(title) of each item, where known.
        max_title_tokens: Longer titles are cut.
        to_the_end: For generation: continue to the length limit, whatever the model says of the end.
        cache_bytes: Limit of the cache of histories' keys and values; 0 for no cache, None for the default.
    """

    priors: npt.NDArray[np.float64] | None = None
    max_title_tokens: int = MAX_TITLE_TOKENS
    to_the_end: bool = False
    cache_bytes: int | None = None


@dataclass(frozen=True)
class StrategyRow:
    """One way to read a language model.

    Attributes:
        name: On the command line and in the store.
        make: Makes its scorer from a transformers causal language model in evaluation mode with any adapter merged, its
            tokenizer, the title of each item id, and the options.
        fusable: Whether its scores may be a signal of the final order, so that `train ranker` takes it.
        generates: Whether it generates text, so that candidates may be missing from its answer.
    """

    name: str
    make: Callable[[Any, Any, Sequence[str], ScorerOptions], CandidateScorer]
    fusable: bool = False
    generates: bool = False


def _verbalizer(model: Any, tokenizer: Any, titles: Sequence[str], options: ScorerOptions) -> CandidateScorer:
    from llamarec_cli.strategies.verbalizer.engine import RankingEngine

    return RankingEngine(model, _encoder(model, tokenizer, titles, options), **_cache(options))


def _likelihood(model: Any, tokenizer: Any, titles: Sequence[str], options: ScorerOptions) -> CandidateScorer:
    from llamarec_cli.strategies.likelihood import LikelihoodEngine

    return LikelihoodEngine(
        model, tokenizer, titles, options.priors, max_title_tokens=options.max_title_tokens, **_cache(options)
    )


def _generate_titles(model: Any, tokenizer: Any, titles: Sequence[str], options: ScorerOptions) -> CandidateScorer:
    from llamarec_cli.strategies.generation import GenerateTitles

    return GenerateTitles(model, _encoder(model, tokenizer, titles, options), to_the_end=options.to_the_end)


def _generate_letters(model: Any, tokenizer: Any, titles: Sequence[str], options: ScorerOptions) -> CandidateScorer:
    from llamarec_cli.strategies.generation import GenerateLetters

    return GenerateLetters(model, _encoder(model, tokenizer, titles, options), to_the_end=options.to_the_end)


def _pointwise(model: Any, tokenizer: Any, titles: Sequence[str], options: ScorerOptions) -> CandidateScorer:
    from llamarec_cli.strategies.pointwise import Pointwise

    return Pointwise(model, _encoder(model, tokenizer, titles, options))


STRATEGIES: dict[str, StrategyRow] = {
    row.name: row
    for row in (
        StrategyRow("verbalizer", _verbalizer, fusable=True),
        StrategyRow("likelihood", _likelihood, fusable=True),
        StrategyRow("generate-titles", _generate_titles, generates=True),
        StrategyRow("generate-letters", _generate_letters, generates=True),
        StrategyRow("pointwise", _pointwise),
    )
}


def fusable_strategies() -> list[str]:
    """Return the strategies that `train ranker` takes."""
    return [row.name for row in STRATEGIES.values() if row.fusable]


def strategy_row(name: str, known: Iterable[str] | None = None) -> StrategyRow:
    """Look a strategy up by name.

    Args:
        name: Its name.
        known: Names that are allowed here; all by default.

    Raises:
        UnknownNameError: There is none of that name, or it is not allowed.
    """
    allowed = list(STRATEGIES if known is None else known)
    if name not in allowed:
        raise UnknownNameError(name, "strategy", allowed)
    return STRATEGIES[name]


@dataclass(frozen=True)
class ScorerSpec:
    """What it takes to open a scorer, in this process or in another one.

    Attributes:
        strategy: Name of the row; it need not be the one that the checkpoint was made for.
        base: Folder of the base model.
        checkpoint: Folder of the ranker, which may hold an adapter or priors.
        titles: Title of each item id.
        precision: What the model computes in; by default what the device is best at.
    """

    strategy: str
    base: Path
    checkpoint: Path
    titles: Sequence[str]
    precision: Precision | None = None


def open_scorer(spec: ScorerSpec) -> CandidateScorer:
    """Load a language model to be read in one way, with the adapter or the priors that the checkpoint holds.

    Raises:
        LlamaRecError: The base model or the checkpoint cannot be used.
    """
    from safetensors.numpy import load_file

    from llamarec_cli.devices import best_device
    from llamarec_cli.language_model.adapters import holds_adapter
    from llamarec_cli.language_model.base_models import load_tokenizer
    from llamarec_cli.language_model.inference import load_for_ranking

    adapter = spec.checkpoint if holds_adapter(spec.checkpoint) else None
    model = load_for_ranking(spec.base, best_device(), spec.precision, adapter)
    priors = spec.checkpoint / PRIORS_FILE
    options = ScorerOptions(priors=load_file(priors)["priors"] if priors.is_file() else None)
    return strategy_row(spec.strategy).make(model, load_tokenizer(spec.base), spec.titles, options)


def _encoder(model: Any, tokenizer: Any, titles: Sequence[str], options: ScorerOptions) -> PromptEncoder:
    from llamarec_cli.language_model.forward import check_vocabulary, position_limit
    from llamarec_cli.strategies.prompt_encoder import PromptEncoder

    check_vocabulary(model, tokenizer)
    return PromptEncoder(tokenizer, titles, options.max_title_tokens, position_limit(model))


def _cache(options: ScorerOptions) -> dict[str, int]:
    return {} if options.cache_bytes is None else {"prefix_bytes": options.cache_bytes}
