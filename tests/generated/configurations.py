"""Configuration files and variables that nobody should train with."""

from __future__ import annotations

from random import Random

from generated import mutations, places
from generated.checking import Case
from generated.world import CONFIG, World

# Keys that say how long a training takes are left as they are.
_KEYS = {
    "training": (
        "seed", "learning_rate", "weight_decay", "batch_size", "validate_every", "patience", "gradient_clip",
        "averaging",
    ),
    "lrurec": ("width", "blocks", "dropout", "max_length", "r_min", "r_max"),
    "ranker": ("seed", "learning_rate", "loss", "negatives", "validation_users"),
    "popularity": ("x",),
    "ensemble": ("retrievers",),
    "nothing": ("x",),
}  # fmt: skip
_VALUES = (
    "0", "-1", "1", "2", "3", "0.5", "1.0", "-0.5", "1e308", "-1e308", "1e-320", "nan", "inf", "-inf", "true", '""',
    '"x"', '"8"', "[]", "{}", "[1, 2]", "4294967295", "4294967296", "1000000000", "9223372036854775808", "1" * 5000,
    "1979-05-27", "07:32:00", "0x10", "1_0", '"""\nx"""', "[" * 3000, "{a = 1}", '["lrurec", 3]', '["nothing"]', "²",
    "１２",
)  # fmt: skip


def configuration(random: Random, world: World) -> Case:
    """`train retriever` or `train ranker` with a file or variables of odd values."""
    (world / "c.toml").write_bytes(_content(random))
    config = "c.toml"
    if random.random() < 0.08:
        config = places.another_name(world / "c.toml", random)
    environment = {}
    if random.random() < 0.3:
        table = random.choice(list(_KEYS))
        environment[f"LLAMAREC_{table.upper()}_{random.choice(_KEYS[table]).upper()}"] = random.choice(_VALUES)
    trained = ["retriever", "--dataset", "shop", "--model", random.choice(["lrurec", "lrurec", "popularity"])]
    if random.random() < 0.25:
        trained = [
            "ranker",
            "--dataset",
            "shop",
            "--retriever",
            "shop/lrurec",
            "--strategy",
            "signals",
            f"--base={world.base}",
        ]
    return Case(["train", *trained, "--name", "shop/new", f"--config={config}"], environment=environment)


def _content(random: Random) -> bytes:
    if random.random() < 0.2:
        return mutations.mutated(CONFIG.encode(), random)
    tables = {
        "lrurec": {"width": "8", "blocks": "1", "max_length": "12"},
        "training": {"epochs": "2", "batch_size": "8"},
    }
    for _ in range(random.choice([1, 1, 2])):
        table = random.choices(list(_KEYS), [6, 6, 2, 1, 1, 1])[0]
        tables.setdefault(table, {})[random.choice(_KEYS[table])] = random.choice(_VALUES)
    text = "".join(
        f"[{table}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()) for table, keys in tables.items()
    )
    return random.choice([text, text, text, "\ufeff" + text, text + text, "x = 1\n" + text]).encode()
