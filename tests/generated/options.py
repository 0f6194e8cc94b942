"""Every option of every command, given what it must not be: the commands themselves tell which they have."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from command_lines import COMMANDS
from generated import mutations, places
from generated.checking import Case
from generated.world import World

# A line of each command that is right and soon done; options are laid over it.
_LINES: dict[tuple[str, ...], list[str]] = {
    ("prepare",): ["other", "--interactions", "log.csv", "--items", "items.csv", "--min-count", "2"],
    ("recommend",): ["--dataset", "shop", "--ranker", "shop/signals", "--history", "hist.json"],
    ("evaluate",): ["--dataset", "shop"],
    ("train", "retriever"): ["--dataset", "shop", "--model", "popularity", "--name", "shop/new"],
    ("train", "ranker"): [
        "--dataset", "shop", "--retriever", "shop/lrurec", "--strategy", "signals", "--base", "{base}",
        "--name", "shop/new",
    ],
    ("bench", "latency"): ["--base", "{base}", "--lengths", "1", "--repeats", "1", "--strategies", "verbalizer"],
    ("bench", "retriever"): ["--dataset", "shop", "--steps", "1"],
    ("bench", "throughput"): ["--dataset", "shop", "--base", "{base}", "--users", "1", "--rounds", "1"],
    ("store", "list"): [],
    ("store", "show"): ["shop"],
    ("store", "path"): ["shop"],
    ("store", "verify"): ["shop"],
    ("store", "remove"): ["shop/popularity", "--dry-run"],
    ("store", "prune"): ["--dry-run"],
    ("store", "export"): ["shop", "out.tar.zst"],
    ("store", "import"): ["shop.tar.zst"],
    ("doctor",): [],
    ("completion",): ["bash"],
}  # fmt: skip
# Of large numbers these ask for work without an end, which is nobody's fault but the asker's.
_MEASURED = {"steps", "repeats", "rounds", "users"}
_COUNTS = (
    "0",
    "-1",
    "1",
    "2",
    "51",
    "²",
    "１２",
    "1e3",
    "1.5",
    "1_0",
    "0x10",
    "",
    " 3 ",
    "+2",
    "NaN",
    "inf",
    "9" * 20,
    "9" * 5000,
)
_LARGE = ("1000000000", "4294967295", "4294967296", "9223372036854775807", "9223372036854775808")
_REALS = ("0", "-1", "1e-9", "nan", "inf", "-inf", "1e999", "1_0", "１", "0x1p3", "", "1,5", "-0", "9" * 400)
_NAMES = (
    "shop", "shop/lrurec", "shop/popularity", "shop/signals", "nothing", "shop/nothing", "Shop", "shop/", "/shop",
    "shop//x", "shop--lrurec", "a/b/c", "ml-100k", "lrurec", "sasrec", "bert4rec", "narm", "popularity", "ensemble",
    "textrec", "signals", "likelihood", "verbalizer", "none", "nf4", "bf16", "fp16", "fp32", "paper", "cpu", "tuned",
    "tfidf", "both", "bash", "zsh", "shop/" + "x" * 115, "x" * 121, ".", "..", "together", "together,together", ",",
    "titles,nothing", "smollm2-135m", "OWNER/MODEL",
)  # fmt: skip
# Names that ask for more than a case may take: models that train for minutes, or fetch.
_SLOW = {"sasrec", "bert4rec", "narm", "ensemble", "textrec", "verbalizer"}


def wrong_option(random: Random, world: World) -> Case:
    """One command with one to three options that are wrong, doubled or out of place."""
    path = random.choice(list(_LINES))
    arguments = [*path, *(part.replace("{base}", str(world.base)) for part in _LINES[path])]
    command = COMMANDS[path]
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        parameter = random.choice([one for one in command.params if one.name not in ("search", "yes")])
        arguments = _laid_over(arguments, parameter, random, world, len(path))
    if random.random() < 0.1:
        arguments.insert(random.randrange(len(arguments) + 1), random.choice(mutations.WORDS))
    return Case([one.replace("\0", "") for one in arguments], changes=_changes(arguments))


def _changes(arguments: list[str]) -> tuple[str, ...]:
    return ("home/artefacts", "done.jsonl") if "--replace" in arguments else ()


def _laid_over(arguments: list[str], parameter: Any, random: Random, world: World, verbs: int) -> list[str]:
    if parameter.param_type_name == "argument":
        value = _value(parameter, random, world)
        kept = arguments[:verbs] + arguments[verbs + 1 :]
        return [*kept[:verbs], value, *kept[verbs:]] if random.random() < 0.8 else kept
    flag = parameter.opts[-1]
    if getattr(parameter, "is_flag", False):
        return [*arguments, random.choice([*[flag] * 8, f"{flag}=yes", f"--no-{flag[2:]}"])]
    value = _value(parameter, random, world)
    if flag in arguments:
        place = arguments.index(flag)
        if random.random() < 0.9:
            arguments = arguments[:place] + arguments[place + 2 :]
    return [*arguments, random.choice([*[f"{flag}={value}"] * 9, flag])]


def _value(parameter: Any, random: Random, world: World) -> str:
    kind = parameter.bare_type()
    if kind is int:
        return random.choice(_COUNTS if parameter.name in _MEASURED or random.random() < 0.6 else _LARGE)
    if kind is float:
        return random.choice(_REALS)
    if kind is Path:
        return places.another_name(
            world / random.choice(["hist.json", "out.jsonl", "c.toml", "shop.tar.zst", "out.md"]), random
        )
    names = [
        name
        for name in _NAMES
        if parameter.name not in ("model", "strategy", "strategies", "retriever") or name not in _SLOW
    ]
    word = random.choice([*names, *mutations.WORDS])
    return str(random.choice(mutations.NUMBERS[:-1])) if random.random() < 0.1 else word
