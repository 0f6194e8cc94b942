"""Base model folders that bring code, pickles, links and lies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from generated import mutations, planted
from generated.checking import Case
from generated.world import World

_CONFIGS = (
    "config.json", "tokenizer_config.json", "generation_config.json", "adapter_config.json", "processor_config.json",
    "preprocessor_config.json", "special_tokens_map.json", "model.safetensors.index.json",
)  # fmt: skip
_CLASSES = ("AutoConfig", "AutoModelForCausalLM", "AutoTokenizer", "AutoModel", "AutoProcessor")
_ADDRESSES: tuple[Any, ...] = (
    "evil.Model", "modeling_evil.Model", "owner/model--evil.Model", "../evil.Model", "evil", ["evil.Tokenizer", None],
    [None, "evil.Tokenizer"], "os.system", "", None, 3, {}, "http://127.0.0.1/evil.Model", "setup.Model",
    "\x1b[2J.Model",
)  # fmt: skip
_SETTINGS: dict[str, tuple[Any, ...]] = {
    "model_type": ("evil", "", None, 3, "t5", "mamba", "bert", "gpt2", "../evil", "\x1b[2J"),
    "architectures": (["Evil"], [], None, "Evil", ["evil.Model"], [3]),
    "custom_pipelines": ({"text-generation": {"impl": "evil.Model", "pt": ["AutoModel"]}}, 3),
    "_attn_implementation": ("owner/kernel", "evil", 3, "../kernel:x"),
    "attn_implementation": ("owner/kernel", "evil"),
    "experts_implementation": ("owner/kernel",),
    "quantization_config": (
        {"quant_method": "gptq"},
        {"quant_method": "evil"},
        {},
        3,
        {"quant_method": "bitsandbytes"},
    ),
    "transformers_weights": ("evil.bin", "../evil.bin", 3),
    "tokenizer_class": ("evil.Tokenizer", "Evil", "PreTrainedTokenizer", "", 3, "T5Tokenizer", "../x"),
    "_name_or_path": ("owner/evil", "../evil", "/etc"),
    "base_model_name_or_path": ("owner/evil", "../evil"),
    "hidden_act": ("__import__('os')", "evil", None),
    "dtype": ("evil", "int8", "float64", 3),
    "torch_dtype": ("evil", "complex64"),
    "rope_parameters": ({"rope_type": "evil"}, {}, 3, {"rope_type": "yarn"}),
    "vocab_size": (0, -1, 3, "many", 10**12, None),
    "hidden_size": (0, -1, 7, 10**12, "wide", 1.5),
    "num_attention_heads": (0, 3, -1, "many"),
    "max_position_embeddings": (0, 1, -1, "x"),
    "tie_word_embeddings": (False, None, "x"),
    "eos_token_id": (10**9, -1, "x", [], None, [256, 3]),
    "eos_token": ("evil", "", 3, {"content": "x"}, None),
    "pad_token": ("evil", None, 3),
    "model_max_length": (0, -1, "x", 1e40),
    "added_tokens_decoder": ({"0": {"content": "a"}}, {"x": 1}, 3, []),
    "chat_template": (
        "{{ ''.__class__.__mro__ }}",
        "{% for i in range(99999999) %}x{% endfor %}",
        "{{",
        "{% include 'x' %}",
    ),
    "text_config": ({"auto_map": {"AutoModel": "evil.Model"}}, 3),
    "weight_map": ({"x": "../../mine.txt"}, {"x": "pytorch_model.bin"}, {"x": "/dev/zero"}, 3, {"x": 3}),
    "peft_type": ("LORA", "evil"),
}
_COMMANDS = (
    "bench latency --lengths 1 --repeats 1 --strategies verbalizer",
    "bench latency --lengths 1 --repeats 1 --strategies generate-letters",
    "train ranker --dataset shop --retriever shop/lrurec --strategy likelihood --name shop/new",
    "train ranker --dataset shop --retriever shop/lrurec --strategy signals --name shop/new",
    "bench throughput --dataset shop --users 1 --rounds 1",
    "train retriever --dataset shop --model textrec --name shop/new --max-minutes 0.0001",
)


def model_folder(random: Random, world: World, trace: Path) -> list[Case]:
    """A folder given as `--base`."""
    folder = world / "evil"
    shutil.copytree(world.base, folder)
    told = []
    for _ in range(random.choice([1, 1, 2, 3])):
        told.append(random.choices(_SPOILED, _WEIGHTS)[0](folder, random, trace))
    line = random.choice(_COMMANDS).split()
    return [Case([*line, "--base", str(folder)], stdin=b"y\n" * 99, told=", ".join(told))]


def _with_code(folder: Path, random: Random, trace: Path) -> str:
    name = planted.code(folder, random, trace)
    if random.random() < 0.7:
        return f"{name!r}, {_with_a_map(folder, random, trace)}"
    return repr(name)


def _with_a_map(folder: Path, random: Random, trace: Path) -> str:
    name = random.choice(_CONFIGS)
    names = {random.choice(_CLASSES): random.choice(_ADDRESSES) for _ in range(random.choice([1, 2]))}
    planted.changed(
        folder / name, lambda value: value.update(auto_map=random.choice([names, names, names, [], "evil.Model"]))
    )
    return f"auto_map in {name}"


def _with_a_pickle(folder: Path, random: Random, trace: Path) -> str:
    gone = random.random() < 0.5
    if gone:
        (folder / "model.safetensors").unlink(missing_ok=True)
    name = planted.a_pickle(folder, random, trace, "model.safetensors" if random.random() < 0.15 else None)
    return f"a pickle, {name!r}{' alone' if gone else ''}"


def _with_a_setting(folder: Path, random: Random, trace: Path) -> str:
    key = random.choice(list(_SETTINGS))
    name = random.choice(_CONFIGS[:3])
    planted.changed(folder / name, lambda value: value.update({key: random.choice(_SETTINGS[key])}))
    return f"{key} in {name}"


def _with_other_json(folder: Path, random: Random, trace: Path) -> str:
    path = random.choice(sorted(folder.glob("*.json")))
    planted.changed(path, lambda value: mutations.changed_json(value, random))
    return f"JSON of {path.name}"


def _with_other_bytes(folder: Path, random: Random, trace: Path) -> str:
    path = random.choice(sorted(one for one in folder.iterdir() if one.is_file()))
    if path.suffix == ".safetensors" and random.random() < 0.5:
        path.write_bytes(random.choice([2**63, 2**31, 0, 10**8]).to_bytes(8, "little") + path.read_bytes()[8:])
    else:
        path.write_bytes(mutations.mutated(path.read_bytes(), random))
    return f"bytes of {path.name}"


def _with_a_link(folder: Path, random: Random, trace: Path) -> str:
    path = folder / random.choice(
        ["config.json", "tokenizer.json", "model.safetensors", "tokenizer_config.json", "x.safetensors"]
    )
    path.unlink(missing_ok=True)
    target = random.choice(["/dev/zero", "/dev/full", "../mine.txt", "nowhere", path.name, "/proc/self/mem", "pipe"])
    if target == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(target)
    return f"{path.name} is {target}"


def _with_a_script(folder: Path, random: Random, trace: Path) -> str:
    """A tokenizer whose patterns backtrack, or a template that runs for ever or looks for classes."""
    if random.random() < 0.5:
        (folder / "chat_template.jinja").write_text(str(random.choice(_SETTINGS["chat_template"][:3])))
        return "chat_template.jinja"
    pattern = random.choice(["(a+)+$", "(.*)*x", "(?<x>", "", "\\p{Evil}"])
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    planted.changed(folder / "tokenizer.json", lambda value: value.update(pre_tokenizer=split))
    return f"pattern {pattern}"


def _with_nothing_in_place(folder: Path, random: Random, trace: Path) -> str:
    path = random.choice(sorted(one for one in folder.iterdir() if one.is_file()))
    path.unlink()
    if random.random() < 0.3:
        path.mkdir()
    return f"no {path.name}"


_SPOILED: tuple[Callable[[Path, Random, Path], str], ...] = (
    _with_code, _with_a_map, _with_a_pickle, _with_a_setting, _with_other_json, _with_other_bytes, _with_a_link,
    _with_a_script, _with_nothing_in_place,
)  # fmt: skip
_WEIGHTS = (4, 3, 4, 6, 3, 2, 2, 1, 1)
