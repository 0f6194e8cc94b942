"""Known raw logs, in each of their formats."""

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from llamarec_cli.data.readers import read_raw_log
from llamarec_cli.errors import LlamaRecError


def test_movielens_csv(raw_folder: Path) -> None:
    log = read_raw_log(raw_folder)
    assert log.interactions.row(0) == ("1", "25", 1000)
    assert log.titles.row(0) == ("1", "The Film 01 (1951)")
    assert log.has_timestamps


def test_a_zip_and_one_file_of_the_folder_read_like_the_folder(raw_folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "ml.zip"
    with zipfile.ZipFile(archive, "w") as written:
        for path in raw_folder.iterdir():
            written.write(path, f"ml-latest-small/{path.name}")
    whole = read_raw_log(raw_folder)
    for source in (archive, raw_folder / "ratings.csv"):
        assert read_raw_log(source).interactions.equals(whole.interactions)


@pytest.mark.parametrize("compressed", [True, False])
def test_amazon_metadata_is_parsed_as_literals_or_json_and_never_evaluated(tmp_path: Path, compressed: bool) -> None:
    (tmp_path / "ratings_Beauty.csv").write_text("U1,B1,5.0,100\nU1,B2,1.0,50\nU2,B3,2.0,7\n")
    lines = [
        "{'asin': 'B1', 'title': \"Men's soap\", 'price': 1.0}",
        json.dumps({"asin": "B2", "title": "Cr&egrave;me &amp; more"}),
        "{'asin': 'B3', 'title': __import__('os').getcwd()}",
        "{'asin': 'B4'}",
        "",
    ]
    content = "\n".join(lines).encode()
    if compressed:
        (tmp_path / "meta_Beauty.json.gz").write_bytes(gzip.compress(content))
    else:
        (tmp_path / "meta_Beauty.json").write_bytes(content)
    log = read_raw_log(tmp_path)
    titles = dict(log.titles.iter_rows())
    assert titles["B1"] == "Men's soap"
    assert titles["B2"] == "Crème & more"
    assert "B3" not in titles
    assert titles["B4"] == ""
    assert log.interactions.rows() == [("U1", "B1", 100), ("U1", "B2", 50), ("U2", "B3", 7)]


def test_tsv_pair_knows_positions_but_no_times(tmp_path: Path) -> None:
    (tmp_path / "interactions.tsv.gz").write_bytes(gzip.compress(b"u\ta\t1\nu\tb\t0\n"))
    (tmp_path / "titles.tsv").write_text('a\t6" pan &amp; lid\nb\t\n')
    log = read_raw_log(tmp_path)
    assert not log.has_timestamps
    assert log.titles.row(0) == ("a", '6" pan & lid')


def test_recbole_joins_title_and_year_and_drops_the_untitled(tmp_path: Path) -> None:
    (tmp_path / "ml-100k.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n"
    )
    (tmp_path / "ml-100k.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "1\tToy Story\t1995\tComedy\n"
        "12\tUsual Suspects, The\t1995\tCrime\n"
        "267\tunkonwn\tunkonwn\tunknown\n"
        "1412\tLand Before Time III: The Time of the Great Giving (1995)\tV\tAnimation\n"
    )
    titles = dict(read_raw_log(tmp_path).titles.iter_rows())
    assert titles == {
        "1": "Toy Story (1995)",
        "12": "The Usual Suspects (1995)",
        "267": "",
        "1412": "Land Before Time III: The Time of the Great Giving (1995)",
    }


def test_missing_unknown_and_damaged_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LlamaRecError, match="does not exist"):
        read_raw_log(tmp_path / "nowhere")
    with pytest.raises(LlamaRecError, match="no known raw data set"):
        read_raw_log(tmp_path)
    (tmp_path / "interactions.tsv.gz").write_bytes(b"\x1f\x8b damaged")
    (tmp_path / "titles.tsv").write_text("a\tA\n")
    with pytest.raises(LlamaRecError, match="cannot be read"):
        read_raw_log(tmp_path)


def test_deeply_nested_metadata_has_no_title(tmp_path: Path) -> None:
    (tmp_path / "ratings_Beauty.csv").write_text("U1,B1,5.0,100\n")
    (tmp_path / "meta_Beauty.json").write_text("[" * 100_000 + '\n{"asin": "B1", "title": "Soap"}\n')
    assert dict(read_raw_log(tmp_path).titles.iter_rows())["B1"] == "Soap"
