"""The first stage: sequential recommenders that turn a history of item ids into candidates (paper, section 3.2.1)."""
