"""Registry of strategies: ways to score candidates with a language model.

To add one, write a file with its scorer and add a row here. The registry imports no torch, since help and completion
read it; a row imports its strategy when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamarec_cli.errors import UnknownNameError
from llamarec_cli.strategies.prompt import MAX_TITLE_TOKENS
from llamarec_cli.strategies.verbalizer.config import PRESETS

if TYPE_CHECKING:
    from llamarec_cli.names import Precision
    from llamarec_cli.ranking.scorer import CandidateScorer
    from llamarec_cli.strategies.prompt_encoder import PromptEncoder
    from llamarec_cli.strategies.training import HyperParameters, TrainingPlan


@dataclass(frozen=True)
class ScorerOptions:
    """Options of a scorer; a strategy ignores those that do not apply to it.

    Attributes:
        checkpoint: Folder with what the strategy's training wrote; None if there is no checkpoint. It may be that of
            another strategy.
        max_title_tokens: Titles with more tokens are truncated.
        to_the_end: Whether a strategy that generates continues to the length limit, ignoring the end-of-sequence token.
        cache_bytes: Size of the cache of histories' keys and values; 0 for no cache, None for the default.
    """

    checkpoint: Path | None = None
    max_title_tokens: int = MAX_TITLE_TOKENS
    to_the_end: bool = False
    cache_bytes: int | None = None


@dataclass(frozen=True)
class StrategyRow:
    """One strategy.

    Attributes:
        name: Name on the command line, in manifests and of its signal.
        make: Makes its scorer from a transformers causal language model in evaluation mode with any adapter merged, its
            tokenizer, the title of each item id, and the options.
        fusable: Whether its scores may be a signal of the final score, so that a ranker can be trained for it.
        generates: Whether it generates text, so that candidates may be missing from its answer.
        train: Trains it, writes the result into the checkpoint's folder and returns metrics for the manifest; None if
            there is nothing to train.
        files: Files that `train` writes and a checkpoint must have.
        presets: Hyper-parameters of a training by gradient descent, by name of the preset: instances of one frozen
            dataclass, whose fields are the keys of the table [ranker] of a configuration file. `paper` is the default
            on CUDA and `cpu` on a CPU. Such a training selects its best step on validation users that are not used to
            fit the fusion, and runs on every process of the worker group. None for a training without hyper-parameters.
    """

    name: str
    make: Callable[[Any, Any, Sequence[str], ScorerOptions], CandidateScorer]
    fusable: bool = False
    generates: bool = False
    train: Callable[[TrainingPlan, Path], dict[str, Any]] | None = None
    files: tuple[str, ...] = ()
    presets: Mapping[str, HyperParameters] | None = None


def _verbalizer(model: Any, tokenizer: Any, titles: Sequence[str], options: ScorerOptions) -> CandidateScorer:
    from llamarec_cli.strategies.verbalizer.engine import RankingEngine

    return RankingEngine(model, _encoder(model, tokenizer, titles, options), **_cache(options))


def _train_verbalizer(plan: TrainingPlan, folder: Path) -> dict[str, Any]:
    from llamarec_cli.strategies.verbalizer.training import train

    return train(plan, folder)


def _likelihood(model: Any, tokenizer: Any, titles: Sequence[str], options: ScorerOptions) -> CandidateScorer:
    from llamarec_cli.strategies.likelihood import LikelihoodEngine, load_priors

    priors = load_priors(options.checkpoint) if options.checkpoint else None
    return LikelihoodEngine(
        model, tokenizer, titles, priors, max_title_tokens=options.max_title_tokens, **_cache(options)
    )


def _train_likelihood(plan: TrainingPlan, folder: Path) -> dict[str, Any]:
    from llamarec_cli.strategies.likelihood import train

    return train(plan, folder)


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
        StrategyRow(
            "verbalizer",
            _verbalizer,
            fusable=True,
            train=_train_verbalizer,
            files=("adapter_model.safetensors",),
            presets=PRESETS,
        ),
        StrategyRow("likelihood", _likelihood, fusable=True, train=_train_likelihood, files=("priors.safetensors",)),
        StrategyRow("generate-titles", _generate_titles, generates=True),
        StrategyRow("generate-letters", _generate_letters, generates=True),
        StrategyRow("pointwise", _pointwise),
    )
}
# In place of a strategy, for a ranker without a language model.
NO_MODEL = "signals"
# On CUDA, and wherever a hyper-parameter of its training is given.
DEFAULT_STRATEGY = "verbalizer"
# Used to score candidates with the language model if the ranker has none of its own, since it needs no training.
UNTRAINED_STRATEGY = "likelihood"


def fusable_strategies() -> list[str]:
    """Return the names of the strategies that a ranker can be trained for."""
    return [row.name for row in STRATEGIES.values() if row.fusable]


def strategy_row(name: str, known: Iterable[str] | None = None) -> StrategyRow:
    """Return the strategy of a name.

    Args:
        name: Its name.
        known: Names that are allowed; all by default.

    Raises:
        UnknownNameError: There is no strategy of that name, or it is not allowed.
    """
    allowed = list(STRATEGIES if known is None else known)
    if name not in allowed:
        raise UnknownNameError(name, "strategy", allowed)
    return STRATEGIES[name]


@dataclass(frozen=True)
class ScorerSpec:
    """Everything that is needed to open a scorer, in this process or in another.

    Attributes:
        strategy: Name of the strategy; it may be another one than the checkpoint was trained for.
        base: Folder of the base model.
        checkpoint: Folder of the ranker.
        titles: Title of each item id.
        precision: Data type of the model; the device's default if None.
    """

    strategy: str
    base: Path
    checkpoint: Path
    titles: Sequence[str]
    precision: Precision | None = None


def open_scorer(spec: ScorerSpec) -> CandidateScorer:
    """Load a language model, merge the adapter of the checkpoint if it has one, and return the strategy's scorer.

    Raises:
        LlamaRecError: The base model or the checkpoint cannot be used.
    """
    from llamarec_cli.devices import best_device
    from llamarec_cli.language_model.adapters import holds_adapter
    from llamarec_cli.language_model.base_models import load_tokenizer
    from llamarec_cli.language_model.inference import load_for_ranking

    adapter = spec.checkpoint if holds_adapter(spec.checkpoint) else None
    model = load_for_ranking(spec.base, best_device(), spec.precision, adapter)
    options = ScorerOptions(checkpoint=spec.checkpoint)
    return strategy_row(spec.strategy).make(model, load_tokenizer(spec.base), spec.titles, options)


def _encoder(model: Any, tokenizer: Any, titles: Sequence[str], options: ScorerOptions) -> PromptEncoder:
    from llamarec_cli.language_model.forward import check_vocabulary, position_limit
    from llamarec_cli.strategies.prompt_encoder import PromptEncoder

    check_vocabulary(model, tokenizer)
    return PromptEncoder(tokenizer, titles, options.max_title_tokens, position_limit(model))


def _cache(options: ScorerOptions) -> dict[str, int]:
    return {} if options.cache_bytes is None else {"prefix_bytes": options.cache_bytes}
