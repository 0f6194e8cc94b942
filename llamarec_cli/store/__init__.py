"""The model store: data sets, base models and checkpoints, each a folder with a manifest, each complete or absent."""
