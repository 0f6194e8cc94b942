"""The second stage: a causal language model ranks the candidates in one forward pass (paper, section 3.2.2)."""
