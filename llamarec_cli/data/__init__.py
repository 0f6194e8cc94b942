"""From raw interaction logs to sequences: catalogue, downloads, readers, k-core, leave-one-out (paper, section 4.0.1)."""
