"""The verbs: each loads from the store, calls pure rooms, and saves. No Typer, no printing."""
