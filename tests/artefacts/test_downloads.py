"""Files that downloads may leave in the home."""

from llamarec_cli.artefacts.downloads import forget_source, is_downloaded, known_downloads
from llamarec_cli.data.catalogue import CATALOGUE
from llamarec_cli.store.registry import Store


def test_every_file_of_every_source_is_known(store: Store) -> None:
    known = {path.relative_to(store.downloads).as_posix() for path in known_downloads(store)}
    assert {"beauty-1/ratings_Beauty.csv", "beauty-2/meta_Beauty.json.gz.part"} < known
    assert {"ml-100k-1/ml-latest-small.zip.validator", "recbole-1.2.1-py3-none-any.whl"} < known


def test_a_source_is_downloaded_once_all_its_files_are(store: Store) -> None:
    row = CATALOGUE["games"]
    files = [store.downloads / "games-1" / name for name in ("ratings_Video_Games.csv", "meta_Video_Games.json.gz")]
    for file in files:
        assert not is_downloaded(store, row, 0)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    assert is_downloaded(store, row, 0)
    assert not is_downloaded(store, row, 1)
    forget_source(store, row, 0)
    assert not any(file.exists() for file in files)
