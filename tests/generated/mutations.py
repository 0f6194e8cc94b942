"""What goes wrong with bytes, text and JSON: each drawn from a generator, so that the same number gives the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

Mutation = Callable[[bytes, Random], bytes]

WORDS = (
    "", " ", "\t", "\x00", "\x1b[2J", "\u202e", "\ufeff", "²", "١٢", "１２", "e\u0301", "İ", "ß", "\u2028", "NaN",
    "nan",
    "NULL", "None", "inf", "-inf", "Infinity", "-0", "1e999", "0x10", "1_0", "1,5", "99999999999999999999", "9" * 400,
    "-1", "3.0", "true", "[]", "{}", "'", '"', '""', "\\", "\\N", ";", "|", "a,b", "=1+1", "%s", "{title}", "../..",
    "/", "~nosuchuser", "x" * 5000, " " * 20_000 + "x", "x " * 10_000, "(" * 3000, "🎬", "\U000e0001", "--help", "-",
)  # fmt: skip
NUMBERS: tuple[Any, ...] = (
    0, -0.0, -1, 1, 2, 3.0, 1.5, 1e308, -1e308, 1e-320, 2**31, 2**32, 2**53 + 1, 2**63, 2**64, -(2**63), 10**30,
    10**400,
)  # fmt: skip


def scalar(random: Random) -> Any:
    return random.choice([random.choice(WORDS), random.choice(NUMBERS), None, True, False, float("nan"), float("inf")])


def anything(random: Random, depth: int = 2) -> Any:
    """Any JSON value, and some that are none."""
    kind = random.randrange(5) if depth else 0
    if kind <= 2:
        return scalar(random)
    if kind == 3:
        return [anything(random, depth - 1) for _ in range(random.randrange(4))]
    return {random.choice(WORDS): anything(random, depth - 1) for _ in range(random.randrange(4))}


def nested(random: Random) -> str:
    """Text of lists in lists, or objects in objects, deeper than any reader goes."""
    depth = random.choice([50, 900, 1100, 100_000])
    opens, closes = random.choice([("[", "]"), ('{"a":', "}"), ('{"history":[', "]}")])
    return opens * depth + "1" + (closes * depth if random.random() < 0.7 else "")


def changed_json(value: Any, random: Random) -> Any:
    """Return a JSON value with one part of it replaced, left out, renamed or wrapped."""
    if isinstance(value, dict) and value:
        key = random.choice(list(value))
        return _changed_key(value, key, random)
    if isinstance(value, list) and value:
        place = random.randrange(len(value))
        return [*value[:place], *_changed_entry(value[place], random), *value[place + 1 :]]
    return random.choice([anything(random), [value], {"a": value}, str(value)])


def _changed_key(value: dict[str, Any], key: str, random: Random) -> dict[str, Any]:
    match random.randrange(5):
        case 0:
            return {one: part for one, part in value.items() if one != key}
        case 1:
            return {**value, random.choice(WORDS): anything(random)}
        case 2:
            return {**value, key: anything(random)}
        case _:
            return {**value, key: changed_json(value[key], random)}


def _changed_entry(entry: Any, random: Random) -> list[Any]:
    return random.choice([[], [entry, entry], [anything(random)], [changed_json(entry, random)]])


def json_text(value: Any) -> bytes:
    """JSON as a careless program writes it: NaN, lone halves of characters and all."""
    return json.dumps(value).encode("utf-8", "surrogatepass")


def flipped(content: bytes, random: Random) -> bytes:
    mutable = bytearray(content)
    for _ in range(random.choice([1, 1, 3, 30])):
        if mutable:
            mutable[random.randrange(len(mutable))] ^= 1 << random.randrange(8)
    return bytes(mutable)


def cut(content: bytes, random: Random) -> bytes:
    return content[: random.randrange(len(content) + 1)]


def without_a_part(content: bytes, random: Random) -> bytes:
    begin = random.randrange(len(content) + 1)
    return content[:begin] + content[begin + random.randrange(1, 40) :]


def doubled(content: bytes, random: Random) -> bytes:
    begin = random.randrange(len(content) + 1)
    part = content[begin : begin + random.randrange(1, 200)]
    return random.choice([content + content, content[:begin] + part + content[begin:]])


def with_a_word(content: bytes, random: Random) -> bytes:
    place = random.randrange(len(content) + 1)
    return content[:place] + random.choice(WORDS).encode() + content[place:]


def in_another_encoding(content: bytes, random: Random) -> bytes:
    text = content.decode("utf-8", "replace")
    encoding = random.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252", "utf-8-sig", "utf-7"])
    return text.encode(encoding, "replace")


def with_bytes_of_another_encoding(content: bytes, random: Random) -> bytes:
    place = random.randrange(len(content) + 1)
    return (
        content[:place]
        + random.choice([b"Jos\xe9", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x00", b"\x1a"])
        + content[place:]
    )


def with_other_line_ends(content: bytes, random: Random) -> bytes:
    ends = random.choice([b"\r\n", b"\r", b"\n\n", b"\x0b", b"\xe2\x80\xa8", b"", b"\n \n", b"\r\r\n"])
    return content.replace(b"\n", ends)


def emptied(content: bytes, random: Random) -> bytes:
    return random.choice([b"", b"\n", b"\0", b" ", b"\xef\xbb\xbf", b"{}", b"[]", b"null"])


def noise(content: bytes, random: Random) -> bytes:
    return random.randbytes(random.choice([1, 10, 1000]))


BYTES: tuple[Mutation, ...] = (
    flipped, cut, without_a_part, doubled, with_a_word, in_another_encoding, with_bytes_of_another_encoding,
    with_other_line_ends, emptied, noise,
)  # fmt: skip


def mutated(content: bytes, random: Random) -> bytes:
    for _ in range(random.choice([1, 1, 2, 3])):
        content = random.choice(BYTES)(content, random)
    return content
