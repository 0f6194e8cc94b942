"""Ways to read a language model as a ranker of candidates; one file each, one row in the registry."""
