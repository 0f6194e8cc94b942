"""The starter: a retriever and a ranker included in the package, trained by this project on `ml-100k-1998`.

It consists of weights, manifests and each user's retrieved item ids. Titles come from preparing the data set, whose
vocabulary must be the one that the starter was trained on.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.rankers import ranker_name
from llamarec_cli.artefacts.retrievers import DEFAULT_FIRST_STAGE, check_vocabulary, retriever_name
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.errors import LlamaRecError, command
from llamarec_cli.store.manifest import read_manifest
from llamarec_cli.store.registry import Artefact

STARTER_DATASET = "ml-100k-1998"


def is_starter(name: str) -> bool:
    """Return whether the package includes a ranker of that name."""
    return name == ranker_name(STARTER_DATASET)


def install_starter(context: Context, data: PreparedData) -> None:
    """Copy the starter's two checkpoints into the store.

    Raises:
        LlamaRecError: The data set is not the one that the starter was trained on, or the store holds a retriever of
            the user's own under the name of the starter's.
    """
    package = Path(str(resources.files("llamarec_cli") / "starter"))
    for name in (retriever_name(STARTER_DATASET, DEFAULT_FIRST_STAGE), ranker_name(STARTER_DATASET)):
        folder = package / name.replace("/", "--")
        manifest = read_manifest(folder)
        check_vocabulary(Artefact(folder, manifest), data)
        with context.store.making(name, context.say):
            if name not in context.store:
                context.store.adopt(folder)
        if context.store.open(name).manifest.digest != manifest.digest:
            raise LlamaRecError(
                f"{name} in the store is your own, and the starter's ranker was not trained with it.",
                command("train ranker", dataset=STARTER_DATASET),
            )
