"""What the README tells people to type is what the program takes."""

import ast
import re
from pathlib import Path

import pytest
from command_lines import COMMANDS, check, llamarec_calls

from llamarec_cli.config import read_settings

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
CALLS = [call for language, text in BLOCKS if language == "sh" for call in llamarec_calls(text)]
CALLS += [
    call for text in re.findall(r"`(llamarec [^`]+)`", README) for call in llamarec_calls(re.sub(r"\s+", " ", text))
]


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_every_command_is_taken(call: list[str]) -> None:
    words = tuple(call)
    # The name of a command, or of a group of them.
    if words == ("--help",) or words in {path[: len(words)] for path in COMMANDS}:
        return
    check(call)


def test_every_configuration_is_taken(tmp_path: Path) -> None:
    texts = [text for language, text in BLOCKS if language == "toml"]
    assert texts
    for text in texts:
        (tmp_path / "c.toml").write_text(text)
        read_settings(tmp_path / "c.toml", {})


def test_the_python_is_python() -> None:
    texts = [text for language, text in BLOCKS if language == "python"]
    assert texts
    for text in texts:
        ast.parse(text)


def test_links_inside_the_project_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).strip().replace(" ", "-")
        for line in README.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif "://" not in target:
            assert (Path(__file__).parents[1] / target).is_file(), target


def test_every_dependency_is_named_and_justified() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    wanted = [re.split("[<>=]", one)[0] for one in project["dependencies"] + project["optional-dependencies"]["dev"]]
    table = README.partition("## Dependencies")[2].partition("\n## ")[0]
    named = set(re.findall(r"[a-z][a-z0-9-]+", table))
    assert [one for one in wanted if one not in named] == []
