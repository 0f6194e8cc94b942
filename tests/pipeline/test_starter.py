"""The starter included in the package."""

import json
from importlib import resources
from pathlib import Path

import pytest

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.rankers import NO_MODEL
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.pipeline.prepare import prepare_dataset
from llamarec_cli.pipeline.recommend.options import RecommendOptions
from llamarec_cli.pipeline.recommend.recommender import Recommender
from llamarec_cli.pipeline.starter import STARTER_DATASET, install_starter
from llamarec_cli.ranking.fusion import FusionGroups
from llamarec_cli.retrieval.registry import build
from llamarec_cli.store.manifest import Kind, read_manifest, sha256_of

STARTER = Path(str(resources.files("llamarec_cli") / "starter"))
FOLDERS = sorted(path for path in STARTER.iterdir() if path.is_dir())


def test_it_consists_of_a_retriever_and_a_ranker_of_at_most_12_megabytes() -> None:
    manifests = [read_manifest(folder) for folder in FOLDERS]
    assert [manifest.kind for manifest in manifests] == [Kind.RETRIEVER, Kind.RANKER]
    assert sum(path.stat().st_size for path in STARTER.rglob("*") if path.is_file()) <= 12_000_000
    for folder, manifest in zip(FOLDERS, manifests, strict=True):
        assert manifest.command.startswith("llamarec train ")
        files = {path.name for path in folder.iterdir()} - {"manifest.json"}
        assert files == set(manifest.files)
        for name, record in manifest.files.items():
            assert sha256_of(folder / name) == record.sha256


def test_its_ranker_was_trained_with_its_retriever() -> None:
    retriever, ranker = (read_manifest(folder) for folder in FOLDERS)
    assert ranker.parents[retriever.name] == retriever.digest
    assert retriever.config["vocabulary"] == ranker.config["vocabulary"]
    assert {retriever.config["dataset"], ranker.config["dataset"]} == {STARTER_DATASET}


def test_another_vocabulary_is_refused(context: Context, raw_folder: Path) -> None:
    data = prepare_dataset(context, "ml-100k", raw_folder)
    with pytest.raises(LlamaRecError, match="another version of ml-100k-1998"):
        install_starter(context, data)
    assert [artefact.manifest.name for artefact in context.store.artefacts()] == ["ml-100k"]


@pytest.mark.network
def test_it_recommends_from_an_empty_home(context: Context) -> None:
    history = json.loads((Path(__file__).parents[1] / "samples" / "hist.json").read_text())
    found = Recommender(context, options=RecommendOptions(top=20)).recommend(history)
    assert found.unknown == []
    assert len(found.items) == 20
    assert sum(item.probability for item in found.items) == pytest.approx(1)
    assert not {item.title for item in found.items} & set(found.history)


def test_this_version_can_read_it() -> None:
    retriever, ranker = (read_manifest(folder) for folder in FOLDERS)
    assert build(retriever.config, 3).reads_language_model
    assert ranker.config["strategy"] == NO_MODEL
    groups = FusionGroups.from_json(ranker.metrics["fusion"])
    assert groups.chosen in groups.fitted
    assert set(ranker.files) == {"counts.safetensors"}
