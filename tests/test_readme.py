"""Commands, configurations, Python and links in the README are valid."""

import ast
import re
from pathlib import Path

import pytest
from command_lines import COMMANDS, check, llamarec_calls

from llamarec_cli.config import read_settings

ROOT = Path(__file__).parents[1]
TEXTS = {
    path: path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", ROOT / "llamarec_cli" / "evaluation" / "RESULTS.md")
}
README = "\n".join(TEXTS.values())
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


def headings_of(text: str) -> set[str]:
    return {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).strip().replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }


def test_links_inside_the_project_lead_somewhere() -> None:
    for path, text in TEXTS.items():
        for target in re.findall(r"\]\(([^)]+)\)", text):
            if "://" in target:
                continue
            file, _, heading = target.partition("#")
            led = (path.parent / file).resolve() if file else path
            assert led.is_file(), target
            assert not heading or heading in headings_of(TEXTS[led]), target


def test_every_dependency_is_named_and_justified() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    wanted = [re.split("[<>=]", one)[0] for one in project["dependencies"] + project["optional-dependencies"]["dev"]]
    table = README.partition("## Dependencies")[2].partition("\n## ")[0]
    named = set(re.findall(r"[a-z][a-z0-9-]+", table))
    assert [one for one in wanted if one not in named] == []
