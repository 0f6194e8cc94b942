"""The starter: a retriever and a ranker that come with the package, trained by this project on `ml-100k-1998`.

They hold weights and manifests only. Titles come from preparing the set, and must be those the starter was trained on.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.pipeline.context import Context
from llamarec_cli.pipeline.train_ranker import ranker_name
from llamarec_cli.pipeline.train_retriever import check_vocabulary, retriever_name
from llamarec_cli.store.manifest import read_manifest
from llamarec_cli.store.registry import Artefact

STARTER_DATASET = "ml-100k-1998"


def is_starter(name: str) -> bool:
    """Tell whether the package brings a ranker of that name."""
    return name == ranker_name(STARTER_DATASET)


def install_starter(context: Context, data: PreparedData) -> None:
    """Copy the starter's two checkpoints into the store, where they are not there already.

    Raises:
        LlamaRecError: The prepared data set is not the one the starter was trained on, or the package is damaged.
    """
    package = Path(str(resources.files("llamarec_cli") / "starter"))
    for name in (retriever_name(STARTER_DATASET), ranker_name(STARTER_DATASET)):
        if name in context.store:
            continue
        folder = package / name.replace("/", "--")
        check_vocabulary(Artefact(folder, read_manifest(folder)), data)
        context.store.adopt(folder)
