"""What the store holds, as objects: base models, retrievers, rankers, training states."""
