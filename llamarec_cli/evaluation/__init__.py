"""Metrics of ranks, significance, the paper's figures, tables and latency (paper, section 4)."""
