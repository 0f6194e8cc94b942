"""From ranks to figures: metrics, the paper's own figures, tables (paper, section 4.0.3)."""
