import pytest
import torch
from fakes import byte_tokenizer, tiny_llama

from llamarec_cli.strategies.pointwise import Pointwise
from llamarec_cli.strategies.prompt import render_pointwise_prompt
from llamarec_cli.strategies.prompt_encoder import PromptEncoder

TITLES = ["", "Alien", "Brazil", "Heat", "Up"]


def test_scores_are_the_logit_of_yes_minus_that_of_no() -> None:
    model = tiny_llama()
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["Yes", "No"])
    model.resize_token_embeddings(len(tokenizer))
    ranker = Pointwise(model, PromptEncoder(tokenizer, TITLES))
    scores = ranker.rank([1], [2, 3, 4])
    margins = []
    for item in (2, 3, 4):
        prompt = tokenizer.encode(render_pointwise_prompt([TITLES[1]], TITLES[item]))
        with torch.no_grad():
            logits = model(torch.tensor([prompt])).logits[0, -1]
        yes, no = (logits[tokenizer.encode(answer)[0]] for answer in ("Yes", "No"))
        margins.append(float(yes - no))
    assert (scores - scores[0]).tolist() == pytest.approx([margin - margins[0] for margin in margins], abs=1e-4)
    swapped = ranker.rank([1], [4, 3, 2])
    assert scores.tolist() == pytest.approx(swapped[::-1].tolist(), abs=1e-5)
