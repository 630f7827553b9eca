"""One-pass protector file: an ONNX decoder whose weights alone are taken from it, and its manifest.

The file is the graph's bytes followed by its metadata, as a provider key is, so that any ONNX runtime can open it and
SHA-256 covers the graph. Loading one runs nothing of it: the graph is built anew from the manifest's widths, and a
file that holds another one is refused.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto, StringStringEntryProto, TensorProto
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from facemin.models.onnx.limits import GraphLimits
from facemin.models.onnx.protobuf_limits import check_fields
from facemin.protection.one_pass.decoder_graph import MOST_DIMENSIONS, DecoderSize, decoder_graph, weight_shapes
from facemin.runtime.faults import faults_named
from facemin.runtime.files import read_at_most, write_atomically

if TYPE_CHECKING:
    from numpy.typing import NDArray

MANIFEST = "facemin.protector"
"""Name of the metadata entry."""

LIMITS = GraphLimits(bytes=64 << 20, fields=50_000)
MOST_RECIPE = 16_384
"""Characters of a recipe as JSON."""


class Manifest(BaseModel):
    """What a protector says of itself; stored as JSON in the ONNX file's metadata."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1] = 1
    """Of this format."""
    space: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Id of the space it paints for, in hexadecimal, as `Key.space` has it; of a key that declares none, SHA-256 of its
    graph."""
    target: int = Field(ge=1, le=MOST_DIMENSIONS)
    """Dimensions of the space."""
    noise: int = Field(ge=1, le=MOST_DIMENSIONS)
    widths: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]
    style: int
    layers: int
    created: AwareDatetime
    cosines: dict[str, float] = Field(default_factory=dict, max_length=64)
    """Mean cosine to the target after each operation of a provider, as measured when it was made."""
    recipe: dict[str, Any] = Field(default_factory=dict)
    """How it was trained."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the graph's bytes in the file, metadata excluded."""

    @property
    def size(self) -> DecoderSize:
        """Widths and depths of the decoder.

        Raises:
            ValueError: a number out of range.
        """
        return DecoderSize(widths=self.widths, blocks=self.blocks, style=self.style, layers=self.layers)


@dataclass(frozen=True)
class ProtectorFile:
    """A protector that has passed every check.

    Attributes:
        manifest: what it says of itself.
        data: the file's bytes.
    """

    manifest: Manifest
    data: bytes = field(repr=False)

    @classmethod
    def make(
        cls,
        graph: ModelProto,
        size: DecoderSize,
        *,
        space: str,
        cosines: dict[str, float] | None = None,
        recipe: dict[str, Any] | None = None,
        created: datetime | None = None,
    ) -> ProtectorFile:
        """A file from a decoder's graph, checked as if a stranger had sent it.

        Args:
            graph: as `decoder_graph` builds it.
            size: its widths and depths.
            space: id of the space it paints for.
            cosines: mean cosine after each operation.
            recipe: how it was trained, as JSON has it.
            created: the present when None.

        Raises:
            ValueError: another graph, or a manifest that is out of range.
        """
        data: bytes = graph.SerializeToString(deterministic=True)
        widths = {value.name: value.type.tensor_type.shape.dim[1].dim_value for value in graph.graph.input}
        values: dict[str, Any] = {
            "space": space,
            "target": widths.get("target"),
            "noise": widths.get("noise"),
            "widths": tuple(size.widths),
            "blocks": tuple(size.blocks),
            "style": size.style,
            "layers": size.layers,
            "created": created or datetime.now(UTC).replace(microsecond=0),
            "cosines": cosines or {},
            "recipe": recipe or {},
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        with faults_named("protector: "):
            manifest = Manifest(**values)
        return cls.load(data + _metadata(manifest.model_dump_json()))

    @classmethod
    def load(cls, source: bytes | str | Path, *, limits: GraphLimits = LIMITS) -> ProtectorFile:
        """Read and check a protector.

        Args:
            source: a path, or the file's bytes.
            limits: how large it may be.

        Raises:
            ValueError: naming the file and what was wrong with it: no protector, changed since it was made, another
                graph than a decoder's, weights of another shape or not finite, or too large.
            FileNotFoundError: when the path does not exist.
        """
        name = "protector" if isinstance(source, bytes) else str(source)
        given = source if isinstance(source, bytes) else Path(source)
        data = read_at_most(given, limits.bytes, expected=f"{name}: expected a protector of")
        try:
            check_fields(data, limits=limits)
            model = ModelProto.FromString(data)
        except (DecodeError, UnicodeError) as error:
            raise ValueError(f"{name}: expected an ONNX file, got bytes that do not parse as one") from error
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        manifest = _read_manifest(model, data, name)
        file = cls(manifest, data)
        try:
            built = file.graph
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        del model.metadata_props[:]
        if built.graph != model.graph or list(built.opset_import) != list(model.opset_import) or model.functions:
            raise ValueError(f"{name}: expected the graph of a decoder as its manifest describes it, got another one")
        return file

    @cached_property
    def graph(self) -> ModelProto:
        """The decoder's graph, built anew from the manifest; of the file it has the weights alone.

        Raises:
            ValueError: weights that are missing, of another shape or type, or not finite.
        """
        size, target, noise = self.manifest.size, self.manifest.target, self.manifest.noise
        found = {tensor.name: tensor for tensor in ModelProto.FromString(self.data).graph.initializer}
        shapes = weight_shapes(size, target=target, noise=noise)
        weights = {name: _weight(found.get(f"{name}.half"), name, shape) for name, shape in shapes.items()}
        return decoder_graph(size, weights, target=target, noise=noise)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the whole file, in hexadecimal: what a signed key manifest names."""
        return hashlib.sha256(self.data).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the file atomically."""
        write_atomically(Path(path), self.data)


def _weight(tensor: TensorProto | None, name: str, shape: tuple[int, ...]) -> NDArray[np.float16]:
    if tensor is None:
        raise ValueError(f"expected a weight {name}, got none")
    count = int(np.prod(shape))
    if tensor.data_type != TensorProto.FLOAT16 or tuple(tensor.dims) != shape or len(tensor.raw_data) != 2 * count:
        raise ValueError(
            f"expected a weight {name} of {shape} in float16, got {tuple(tensor.dims)!r:.80} of type "
            f"{tensor.data_type} in {len(tensor.raw_data)} bytes"
        )
    return np.frombuffer(tensor.raw_data, "<f2").reshape(shape)


def _read_manifest(model: ModelProto, data: bytes, name: str) -> Manifest:
    entries = {entry.key: entry.value for entry in model.metadata_props}
    if len(model.metadata_props) != 1 or MANIFEST not in entries:
        raise ValueError(
            f"{name}: expected a protector with the one metadata entry {MANIFEST!r}, got {list(entries)!r:.200}"
        )
    with faults_named(f"{name}: expected a manifest of version 1; "):
        manifest = Manifest.model_validate_json(entries[MANIFEST])
    try:
        manifest.size  # noqa: B018 - its numbers are checked where it is made
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if len(entries[MANIFEST]) > MOST_RECIPE:
        raise ValueError(f"{name}: expected a manifest of at most {MOST_RECIPE} characters, got more")
    tail = _metadata(entries[MANIFEST])
    if not data.endswith(tail):
        raise ValueError(f"{name}: expected the metadata at the end of the file, found other bytes there")
    digest = hashlib.sha256(data[: len(data) - len(tail)]).hexdigest()
    if digest != manifest.sha256:
        raise ValueError(f"{name}: expected a graph with SHA-256 {manifest.sha256}, got {digest}: it was changed")
    return manifest


def _metadata(manifest: str) -> bytes:
    """The wire bytes of the metadata entry; appended to a graph's bytes they extend its message."""
    entry = StringStringEntryProto(key=MANIFEST, value=manifest)
    encoded: bytes = ModelProto(metadata_props=[entry]).SerializeToString(deterministic=True)
    return encoded
