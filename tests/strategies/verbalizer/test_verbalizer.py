from pathlib import Path

import pytest
import torch
from fakes import byte_tokenizer

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.strategies.prompt import LABELS, render_prompt
from llamarec_cli.strategies.verbalizer.verbalizer import candidate_log_probabilities, choose_labels, label_token_ids

PROMPT = render_prompt(["Alien"], ["Brazil", "Heat"])


def test_label_ids_are_those_that_follow_the_prompt() -> None:
    tokenizer = byte_tokenizer()
    ids = label_token_ids(tokenizer, PROMPT, LABELS)
    for label, label_id in zip(LABELS, ids, strict=True):
        assert tokenizer.encode(PROMPT + label) == [*tokenizer.encode(PROMPT), label_id]
    assert tokenizer.decode(ids[:3]) == "ABC"


class SentencePieceLike:
    """Writes a letter at the start of a text as another token than one after a newline, as Llama 2 does."""

    def encode(self, text: str) -> list[int]:
        return [1] + [1000 + ord(char) if place == 0 else ord(char) for place, char in enumerate(text)]


def test_a_bare_letter_is_another_token_and_is_not_taken() -> None:
    tokenizer = SentencePieceLike()
    assert label_token_ids(tokenizer, PROMPT, ["A", "B"]) == [ord("A"), ord("B")]
    assert tokenizer.encode("A")[-1] == 1000 + ord("A")


class MergesNewlines(SentencePieceLike):
    """Merges a newline with the letter behind it."""

    def encode(self, text: str) -> list[int]:
        return super().encode(text.replace("\nA", "@"))


class CannotTellLettersApart(SentencePieceLike):
    """Writes every letter as the same token."""

    def encode(self, text: str) -> list[int]:
        return [0 if token in (ord("A"), ord("B")) else token for token in super().encode(text)]


@pytest.mark.parametrize(("tokenizer", "sentence"), [(MergesNewlines(), "label A"), (CannotTellLettersApart(), "same")])
def test_labels_that_are_not_single_distinct_tokens_are_refused(tokenizer: SentencePieceLike, sentence: str) -> None:
    with pytest.raises(LlamaRecError, match=sentence):
        label_token_ids(tokenizer, PROMPT, ["A", "B"])


def test_another_set_of_labels_is_taken_where_letters_do_not_do() -> None:
    labels, ids = choose_labels(MergesNewlines())
    assert "".join(labels) == "abcdefghijklmnopqrstuvwxyz"
    assert ids[:2] == [ord("a"), ord("b")]
    assert choose_labels(CannotTellLettersApart())[0] == labels


class CannotTellAnythingApart(SentencePieceLike):
    """Writes everything as the same token."""

    def encode(self, text: str) -> list[int]:
        return [0] * len(text)


def test_a_tokenizer_without_any_labels_is_refused_for_the_reason_of_the_letters() -> None:
    with pytest.raises(LlamaRecError, match="two labels as the same token"):
        choose_labels(CannotTellAnythingApart())


def test_probabilities_are_the_softmax_over_the_letters_alone() -> None:
    torch.manual_seed(0)
    hidden, head = torch.randn(3, 8), torch.randn(50, 8)
    ours = candidate_log_probabilities(hidden, head, [7, 3, 40])
    full = hidden @ head.T
    assert torch.allclose(ours, torch.log_softmax(full[:, [7, 3, 40]], dim=-1), atol=1e-6)
    assert torch.allclose(ours.exp().sum(-1), torch.ones(3))


def test_close_logits_are_not_rounded_into_ties() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(1, 64).to(torch.bfloat16)
    head = (torch.randn(1, 64) * 8 + 1e-2 * torch.randn(20, 64)).to(torch.bfloat16)
    ours = candidate_log_probabilities(hidden, head, list(range(20)))
    assert len(ours.unique()) > len((hidden @ head.T).unique())
    assert len(ours.unique()) == 20


@pytest.mark.network
def test_the_default_base_model_has_the_known_label_ids(real_base: Path) -> None:
    from llamarec_cli.language_model.base_models import load_tokenizer

    tokenizer = load_tokenizer(real_base)
    assert label_token_ids(tokenizer, PROMPT, LABELS[:20]) == list(range(49, 69))
    assert tokenizer.eos_token_id == 2
    assert tokenizer.encode("\n") == [198]
