"""From raw interaction logs to sequences: catalogue, readers, k-core, leave-one-out (paper, section 4.0.1)."""
