"""The rules of the house: which room may import which, and how large functions, files and folders may be."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from command_lines import COMMANDS

# Imports go to the right only, those for type checking included. Rooms of one column do not import each other.
COLUMNS = (
    ("__main__", "__init__"),
    ("cli", "api"),
    ("pipeline",),
    ("engines",),
    ("artefacts", "config"),
    ("strategies",),
    ("ranking", "language_model"),
    ("retrieval",),
    ("data", "evaluation", "store"),
)
# All other files at the top of the package, such as `errors`, are the last column. They may import each other.
LAST = len(COLUMNS)
COLUMN = {room: column for column, rooms in enumerate(COLUMNS) for room in rooms}

MOST_PARAMETERS = 8  # a command has as many as it has options, so `cli` is exempt
MOST_LINES = 79  # of a function
MOST_LINES_OF_A_FILE = 300
MOST_FILES = 12  # of a folder

PACKAGE = Path(__file__).parents[1] / "llamarec_cli"
# By path inside the package, such as `store/locks.py`.
TEXTS = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
TREES = {module: ast.parse(text) for module, text in TEXTS.items()}


def room(name: str) -> str:
    """Return the room of a module, given by its path or by its dotted name."""
    return re.split(r"[/.]", name)[0]


def imports() -> Iterator[tuple[str, str]]:
    """Yield every module with each name of this package that it imports, wherever in the module."""
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{name}" for name in names]
            for name in names:
                if name.startswith(f"{PACKAGE.name}."):
                    yield module, name.removeprefix(f"{PACKAGE.name}.")


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield every function and method with its place."""
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{module}:{node.lineno} {node.name}", node


def none_of(faults: list[str]) -> None:
    assert not faults, "\n".join(["", *sorted(faults)])


def test_imports_go_to_the_right() -> None:
    def allowed(one: str, other: str) -> bool:
        here, there = COLUMN.get(one, LAST), COLUMN.get(other, LAST)
        return one == other or here < there or here == there == LAST

    none_of([f"{module} imports {name}" for module, name in imports() if not allowed(room(module), room(name))])
    none_of([module for module, text in TEXTS.items() if re.search(r"^\s*(from|import) \.", text, re.MULTILINE)])


def test_only_the_command_line_names_its_options() -> None:
    options = {option for command in COMMANDS.values() for parameter in command.params for option in parameter.opts}
    none_of(
        [
            f"{module}:{number} {word}"
            for module, text in TEXTS.items()
            if room(module) != "cli"
            for number, line in enumerate(text.splitlines(), start=1)
            for word in re.findall(r"(?<!\w)--[a-z][a-z-]*", line)
            if word in options  # those of pip, for one, are not ours
        ]
    )


def test_functions_have_few_parameters() -> None:
    def count(arguments: ast.arguments) -> int:
        names = [node.arg for node in ast.walk(arguments) if isinstance(node, ast.arg)]
        return len([name for name in names if name not in ("self", "cls")])

    counts = {place: count(function.args) for place, function in functions() if room(place) != "cli"}
    none_of([f"{place}: {found}" for place, found in counts.items() if found > MOST_PARAMETERS])


def test_functions_are_short() -> None:
    lengths = {place: (node.end_lineno or node.lineno) - node.lineno + 1 for place, node in functions()}
    none_of([f"{place}: {length}" for place, length in lengths.items() if length > MOST_LINES])


def test_files_are_short() -> None:
    lengths = {module: len(text.splitlines()) for module, text in TEXTS.items()}
    none_of([f"{module}: {length}" for module, length in lengths.items() if length > MOST_LINES_OF_A_FILE])


def test_folders_are_small() -> None:
    counts = Counter(str(Path(module).parent) for module in TEXTS if room(module) in ("ranking", "pipeline"))
    none_of([f"{folder}: {count}" for folder, count in counts.items() if count > MOST_FILES])
