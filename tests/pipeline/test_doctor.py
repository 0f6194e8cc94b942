"""Diagnosis of an installation."""

from pathlib import Path

from artefact_makers import make

from llamarec_cli import __version__
from llamarec_cli.pipeline.doctor import diagnose
from llamarec_cli.store.manifest import MANIFEST_FILE
from llamarec_cli.store.registry import Store


def test_versions_cached_artefacts_and_downloads(store: Store) -> None:
    make(store, "games")
    found = diagnose(store)
    assert found.versions["llamarec"] == __version__
    assert found.cached == {"retriever": (1, 7)}
    assert "games" not in found.to_fetch
    assert found.to_fetch["smollm2-135m"].startswith("93 MB")
    assert found.to_fetch["ml-100k-1998"].endswith("from the package index")
    assert found.home_chosen_by == "LLAMAREC_HOME"
    assert found.problems == []


def test_a_damaged_artefact_is_a_problem(store: Store) -> None:
    make(store, "games")
    (store.path_of("games") / MANIFEST_FILE).write_text("{")
    assert diagnose(store).problems == ["games is damaged: llamarec store remove games"]


def test_a_missing_home_is_not_a_problem(tmp_path: Path) -> None:
    found = diagnose(Store(tmp_path / "not" / "yet"))
    assert found.writable
    assert found.problems == []
    assert not (tmp_path / "not").exists()
