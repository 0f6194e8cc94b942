"""Token ids put together from pieces equal those of the whole text, for any titles and tokenizer."""

from collections.abc import Callable

import pytest
from fakes import byte_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from llamarec_cli.language_model.pieces import PieceTokenizer
from llamarec_cli.strategies.prompt import prompt_pieces, render_prompt

# Enough for merges within words, across spaces and across line ends, if the pre-tokenizer allows them.
_CORPUS = [
    render_prompt(
        ["Alien (1979)", "Halo 3!", "Help", "M*A*S*H (1970)"], ["Alien", "What's Up, Doc? (1972)", "10 (1979)"]
    )
] * 4


def trained(pre_tokenizer: pre_tokenizers.PreTokenizer | None, *, begins: bool = False) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    if begins:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", bos_token="<s>")


def gpt2_like() -> PreTrainedTokenizerFast:
    return trained(pre_tokenizers.ByteLevel(add_prefix_space=False))


def llama2_like() -> PreTrainedTokenizerFast:
    """A space before the text, and every space part of the word after it."""
    return trained(pre_tokenizers.Metaspace(prepend_scheme="first"), begins=True)


def without_boundaries() -> PreTrainedTokenizerFast:
    """Tokens may span any characters, so that pieces cannot be tokenised separately."""
    return trained(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))


TOKENIZERS: list[Callable[[], PreTrainedTokenizerFast]] = [byte_tokenizer, gpt2_like, llama2_like, without_boundaries]
_TITLES = st.lists(
    st.one_of(
        st.text(min_size=1, max_size=12),
        st.sampled_from(
            ["Alien (1979)", "Help!", "Halo 3!", "  two  spaces ", "10", ");", "\n", "(A) \n (B)", "é ½ 日本"]
        ),
    ),
    max_size=5,
)


@pytest.mark.parametrize("make", TOKENIZERS)
def test_pieces_give_the_ids_of_the_whole_text(make: Callable[[], PreTrainedTokenizerFast]) -> None:
    tokenizer = make()
    tokens = PieceTokenizer(tokenizer)

    @settings(max_examples=150, deadline=None)
    @given(history=_TITLES, candidates=_TITLES)
    def check(history: list[str], candidates: list[str]) -> None:
        pieces = prompt_pieces(history, candidates)
        whole = render_prompt(history, candidates)
        assert "".join(pieces) == whole
        ids, ends = tokens.encode(pieces)
        assert ids == tokenizer.encode(whole)
        assert not ends or (len(ends) == len(pieces) and ends[-1] == len(ids))

    check()


@pytest.mark.parametrize(
    ("make", "apart"), [(byte_tokenizer, True), (gpt2_like, True), (llama2_like, True), (without_boundaries, False)]
)
def test_usual_tokenizers_encode_usual_titles_in_pieces(
    make: Callable[[], PreTrainedTokenizerFast], apart: bool
) -> None:
    pieces = prompt_pieces(["Alien (1979)", "Help!"], ["Halo 3", "M*A*S*H (1970)", "What's Up, Doc?"])
    assert bool(PieceTokenizer(make()).encode(pieces)[1]) == apart
