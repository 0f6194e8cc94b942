"""LlamaRec (Yue et al., 2023, arXiv 2311.02089): two-stage recommendation with a language model as the ranker."""

__version__ = "0.1.0"
