"""Parts of a text have the tokens of the whole, whatever special tokens, spaces or merges a tokenizer adds."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from fakes import byte_tokenizer
from tiny_models import tiny_model
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.text import TextTokenizer
from llamarec_cli.strategies.generation import GenerateLetters, generate
from llamarec_cli.strategies.likelihood import LikelihoodEngine
from llamarec_cli.strategies.pointwise import Pointwise
from llamarec_cli.strategies.prompt import render_list, render_pointwise_prompt, render_prompt
from llamarec_cli.strategies.prompt_encoder import PromptEncoder, within_positions
from llamarec_cli.strategies.verbalizer.engine import RankingEngine

SPECIAL = "<|im_end|>"
TITLES = [
    "",
    "Alien (1979)",
    f"The {SPECIAL} of it",
    SPECIAL * 20,
    "M*A*S*H (1970)",
    "what's up, doc?",
    "</s>",
    "Brazil",
    " <s> blank",
]
_CORPUS = [*render_prompt(TITLES[1:4], TITLES[4:]).splitlines(), *render_list(TITLES[1:])[0].splitlines()] * 3


def trained(
    pre_tokenizer: pre_tokenizers.PreTokenizer, template: str, normalizer: normalizers.Normalizer | None = None
) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    special = ["<s>", "</s>", SPECIAL]
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # Without the special tokens: what is merged from characters must not be one of them.
    tokenizer.train_from_iterator([re.sub(r"<[^ ]*?>", "", line) for line in _CORPUS], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(one, special.index(one)) for one in ("<s>", "</s>")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="</s>",
        bos_token="<s>",
        additional_special_tokens=[AddedToken(SPECIAL, special=True)],
    )


def ends() -> PreTrainedTokenizerFast:
    """Appends the end-of-sequence token."""
    return trained(pre_tokenizers.ByteLevel(add_prefix_space=False), "$A </s>")


def begins_and_ends() -> PreTrainedTokenizerFast:
    return trained(pre_tokenizers.ByteLevel(add_prefix_space=False), "<s> $A </s>")


def prepends_a_blank() -> PreTrainedTokenizerFast:
    """Before every text, as sentencepiece does."""
    return trained(pre_tokenizers.Metaspace(prepend_scheme="always"), "<s> $A")


def prepends_a_blank_in_bytes() -> PreTrainedTokenizerFast:
    return trained(pre_tokenizers.ByteLevel(add_prefix_space=True), "$A")


def spans_boundaries() -> PreTrainedTokenizerFast:
    """Tokens may span a number and the title behind it."""
    return trained(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False), "<s> $A </s>")


def lowers() -> PreTrainedTokenizerFast:
    return trained(pre_tokenizers.ByteLevel(add_prefix_space=False), "<s> $A", normalizers.Lowercase())


MAKERS: list[Callable[[], PreTrainedTokenizerFast]] = [
    byte_tokenizer,
    ends,
    begins_and_ends,
    prepends_a_blank,
    prepends_a_blank_in_bytes,
    spans_boundaries,
    lowers,
]


def whole(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """Ids of the tokenizer's own pipeline: leading special tokens, no trailing ones, none from within the text."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.encode_special_tokens = True
    ids: list[int] = backend.encode(text).ids
    return ids[:-1] if ids[-1] == tokenizer.eos_token_id else ids


@pytest.mark.parametrize("make", MAKERS)
def test_prompts_have_the_tokens_of_the_whole_text(make: Callable[[], PreTrainedTokenizerFast]) -> None:
    tokenizer = make()
    encoder = PromptEncoder(tokenizer, TITLES, max_title_tokens=500)
    for history, candidates in [([1, 2], [3, 4]), ([6], [2, 8, 7]), ([], [1, 5])]:
        text = render_prompt([TITLES[item] for item in history], [TITLES[item] for item in candidates], encoder._labels)
        found = encoder.encode(history, candidates)
        assert found == whole(tokenizer, text)
        # No control token within the prompt, and the answer directly behind it.
        assert found[1:].count(tokenizer.eos_token_id) == 0
        assert tokenizer.convert_tokens_to_ids(SPECIAL) not in found[1:] or make is byte_tokenizer
        for label, label_id in zip(encoder._labels, encoder.label_ids, strict=True):
            assert whole(tokenizer, text + label) == [*found, label_id]


@pytest.mark.parametrize("make", MAKERS)
@torch.no_grad()
def test_likelihood_equals_that_of_the_whole_text(make: Callable[[], PreTrainedTokenizerFast]) -> None:
    tokenizer, model = make(), tiny_model("llama", vocab_size=700)
    history, candidates = [1, 2, 6], [3, 4, 5, 8]

    def summed(recent: list[str]) -> np.ndarray:
        trunk, after = render_list(recent)
        before = whole(tokenizer, trunk)
        texts = [whole(tokenizer, trunk + after + TITLES[item]) for item in candidates]
        # A token that spans trunk and title counts as part of the title.
        shared = min(
            next((place for place, (a, b) in enumerate(zip(before, ids, strict=False)) if a != b), len(before))
            for ids in texts
        )
        found = []
        for ids in texts:
            log_p = torch.log_softmax(model(torch.tensor([ids])).logits[0], -1)
            found.append(sum(float(log_p[place - 1, ids[place]]) for place in range(shared, len(ids))))
        return np.array(found)

    scores = summed([TITLES[item] for item in history]) - summed([])
    scorer = LikelihoodEngine(model, tokenizer, TITLES, max_title_tokens=500)
    for _ in range(2):
        assert np.allclose(scorer.rank(history, candidates), scores - np.log(np.exp(scores).sum()), atol=1e-3)


@pytest.mark.parametrize("make", MAKERS)
def test_the_other_strategies_encode_the_same_text(
    make: Callable[[], PreTrainedTokenizerFast], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer, model = make(), tiny_model("llama", vocab_size=700)
    read: list[list[int]] = []
    forward = model.model.forward

    def recorded(**named: Any) -> Any:
        read.append(named["input_ids"][0].tolist())
        return forward(**named)

    monkeypatch.setattr(model.model, "forward", recorded)
    encoder = PromptEncoder(tokenizer, TITLES)
    Pointwise(model, encoder).rank([1], [2])
    assert read == [whole(tokenizer, render_pointwise_prompt([TITLES[1]], encoder.titles[2]))]
    read.clear()
    generate(model, tokenizer, "To write: ", 1)
    assert read[0] == whole(tokenizer, "To write: ")
    GenerateLetters(model, encoder).rank([1], [2, 3])
    RankingEngine(model, encoder).rank([1], [2, 3])


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("title", [SPECIAL * 30, "x" * 300, "é" * 200, "日本" * 80, "</s> " * 99, "  " * 90 + "x" * 99])
def test_a_truncated_title_is_a_nonempty_beginning(make: Callable[[], PreTrainedTokenizerFast], title: str) -> None:
    text = TextTokenizer(make())
    cut = text.truncate(title, 32)
    assert cut
    assert title.strip().startswith(cut)
    assert len(text.plain(cut)) <= 32
    assert cut == title or len(text.plain(cut)) >= 24


def test_truncation_keeps_case_and_exact_length() -> None:
    assert TextTokenizer(lowers()).truncate("ALIEN " * 100, 3).startswith("ALIEN")
    assert len(TextTokenizer(byte_tokenizer()).truncate("x " * 100_000, 32)) == 31


def test_the_beginning_of_sequence_token_precedes_a_text_once() -> None:
    for make in (begins_and_ends, prepends_a_blank, lowers):
        tokenizer = make()
        ids = TextTokenizer(tokenizer).encode("Alien")
        assert ids[0] == tokenizer.bos_token_id
        assert ids.count(tokenizer.bos_token_id) == 1
    assert TextTokenizer(ends()).encode("Alien") == ends().encode("Alien")[:-1]


def test_a_tokenizer_that_depends_on_special_tokens_is_refused() -> None:
    class Strange:
        def encode(self, text: str, add_special_tokens: bool = True, **_: Any) -> list[int]:
            return [7, 8] if add_special_tokens else [1, 2]

    with pytest.raises(LlamaRecError, match="differently with special tokens"):
        TextTokenizer(Strange())


def test_as_many_recent_items_as_fit_are_kept() -> None:
    def read(items: Any) -> tuple[list[int], int]:
        return list(items), 10 * len(items)

    assert within_positions(range(30), None, read) == list(range(10, 30))
    assert within_positions(range(30), 45, read) == [26, 27, 28, 29]
    with pytest.raises(LlamaRecError, match=r"10 tokens.* longer than the 9"):
        within_positions(range(30), 9, read)
    assert within_positions([], 9, read) == []
