"""The provider key: one ONNX file with a shallow model and its manifest, "like a public key" (PMT, section 4).

The file is the graph's bytes followed by its metadata, so the SHA-256 covers the graph's bytes exactly as they
lie in the file, and any ONNX runtime can open it. Loading one runs no foreign code: see `models.graph`.
"""

from __future__ import annotations

import base64
import hashlib
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from onnx import ModelProto

from facemin.keys.manifest import Manifest
from facemin.keys.wire import (
    MANIFEST,
    SIGNATURE,
    SIGNER,
    check_bytes,
    check_dates,
    check_signature,
    manifest_of,
    metadata,
    tail_of,
)
from facemin.models.onnx.analysis.shapes import graph_shapes
from facemin.models.onnx.graph import read_graph
from facemin.models.onnx.limits import GraphLimits
from facemin.models.recogniser import FACE_SHAPE
from facemin.models.space import Space
from facemin.models.space_fit import ends_in_unit_length
from facemin.runtime.errors import InvalidKey, told_as
from facemin.runtime.faults import faults_named
from facemin.runtime.files import read_at_most, write_atomically

if TYPE_CHECKING:
    from facemin.autograd.module import OnnxModule
    from facemin.models.recogniser import RecogniserGraph

KEY_LIMITS = GraphLimits(bytes=256 << 20, elements=1 << 23, total_elements=1 << 26, work=20_000_000_000)
"""A stranger's key runs on the user's machine, many faces at once, so it may be less than a provider's own model."""


@dataclass(frozen=True)
class Key:
    """A provider key that has passed every check.

    Attributes:
        manifest: what it says of itself.
        data: the file's bytes.
        signer: the Ed25519 public key (32 bytes) whose signature was verified; None for an unsigned key.
    """

    manifest: Manifest
    data: bytes = field(repr=False)
    signer: bytes | None

    def __repr__(self) -> str:
        own, signed = self.manifest, "unsigned" if self.signer is None else f"signed by {self.signer.hex()[:16]}"
        end = "" if own.expires is None else f", until {own.expires.date()}"
        return f"<Key {own.key_id} of {own.provider}: {own.recogniser} at {own.cut}, {signed}{end}>"

    @classmethod
    @told_as(InvalidKey)
    def load(
        cls,
        source: bytes | str | Path,
        *,
        signer: bytes | None = None,
        now: datetime | None = None,
        allow_expired: bool = False,
        limits: GraphLimits = KEY_LIMITS,
    ) -> Key:
        """Read and check a key.

        Args:
            source: a path, or the file's bytes.
            signer: the Ed25519 public key (32 bytes) that must have signed it; None accepts an unsigned key, but
                never one whose signature is wrong.
            now: the time that expiry is judged at; the present when None.
            allow_expired: read an expired key all the same, to show it.
            limits: how large its graph may be.

        Raises:
            ValueError: naming the key and what was wrong with it: not a key, changed since it was made, a wrong
                or missing signature, dates out of range, shapes that do not fit, or a graph that `read_graph` refuses.
            FileNotFoundError: when the path does not exist.
        """
        name = "key" if isinstance(source, bytes) else str(source)
        if isinstance(source, bytes):
            data = source
        else:
            data = read_at_most(Path(source), limits.bytes, expected=f"{name}: expected a key of")
        # the graph's checks come before anything of the file is believed
        model = read_graph(data, name=name, limits=limits)
        entries = {entry.key: entry.value for entry in model.metadata_props}
        if len(entries) != len(model.metadata_props):
            raise ValueError(f"{name}: expected each metadata entry once, got one of them twice")
        manifest = manifest_of(entries, name)
        check_bytes(data, model, manifest, name)
        verified = check_signature(entries, signer, name)
        check_dates(manifest, now, name, allow_expired=allow_expired)
        key = cls(manifest, data, verified)
        key._check_shapes(model, name, limits)
        return key

    @cached_property
    def shallow(self) -> OnnxModule:
        """E_c as a differentiable module: faces (B, 3, 112, 112) in [0, 1] to features (B, *shape).

        Its `layers` gives the features of every layer that the manifest names. For what needs gradients: it takes the
        extra `torch`, which `FaceRunner` does without.

        Raises:
            ImportError: torch is not installed.
        """
        from facemin.autograd.shallow import shallow_module

        return shallow_module(self.data, self.manifest.layers)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the whole file, in hexadecimal: what a client pins."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def graph(self) -> bytes:
        """The shallow model's bytes as they lie in the file, metadata excluded; any ONNX runtime opens them."""
        return self.data[: -len(tail_of(ModelProto.FromString(self.data)))]

    @property
    def space(self) -> Space | None:
        """The space that pseudonyms are made in; None for a key of plain protection only."""
        manifest = self.manifest
        if manifest.space is None:
            return None
        identity = manifest.space_id
        assert identity is not None
        return Space(id=identity, graph_sha256=manifest.sha256, declaration=manifest.space, name=manifest.recogniser)

    def save(self, path: str | Path) -> None:
        """Write the file atomically."""
        write_atomically(Path(path), self.data)

    def _check_shapes(self, model: ModelProto, name: str, limits: GraphLimits) -> None:
        outputs = tuple(output.name for output in model.graph.output)
        if outputs != self.manifest.layers:
            raise ValueError(f"{name}: expected the graph outputs {self.manifest.layers}, got {outputs}")
        try:
            known = graph_shapes(model, limits=limits)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        taken = tuple(known.shapes[image][1:] for image in known.inputs)
        if taken != (FACE_SHAPE,):
            raise ValueError(f"{name}: expected a shallow model of faces {FACE_SHAPE}, got {taken}")
        constant = [output for output in outputs if output not in known.shapes]
        if constant:
            raise ValueError(f"{name}: expected outputs that images change, a row for each, got {constant}")
        features = known.shapes[outputs[-1]][1:]
        if features != self.manifest.features:
            raise ValueError(
                f"{name}: expected features {self.manifest.features} as its manifest says, "
                f"got {features} from its graph"
            )
        if self.manifest.space is not None and not ends_in_unit_length(model):
            raise ValueError(f"{name}: expected a graph that ends in a normalisation to unit length, got another end")


def export_key(
    recogniser: RecogniserGraph,
    cut: str,
    *,
    provider: str,
    residual: float,
    layers: tuple[str, ...] = (),
    key_id: str | None = None,
    created: datetime | None = None,
    expires: datetime | None = None,
    signing_key: Ed25519PrivateKey | None = None,
) -> Key:
    """Make a provider key from a recogniser and one of its cuts.

    Args:
        recogniser: the provider's; only its part before the cut goes into the key.
        cut: one of `recogniser.cuts`.
        provider: whose key it is, for people.
        residual: calibrated relative feature distance at which protecting stops, in (0, 2].
        layers: earlier cuts whose features shall be matched as well (Algorithm 2's layer aggregation), in order.
        key_id: letters, digits, ".", "_", "-"; the first 16 digits of the graph's SHA-256 when None.
        created: time of making, with a time zone; the present when None.
        expires: end of its validity, with a time zone; None for never.
        signing_key: signs the manifest, and with it the graph's hash.

    Raises:
        ValueError: an unknown cut, or a value out of its range.
    """
    if not math.isfinite(residual):
        raise ValueError(f"residual: expected a finite number in (0, 2], got {residual}")
    created = created or datetime.now(UTC).replace(microsecond=0)
    if expires is not None and expires <= created:
        raise ValueError(f"expires: expected a time after the key's making on {created}, got {expires}")
    place = recogniser.cut(cut)
    graph = ModelProto()
    graph.CopyFrom(recogniser.shallow_graph(cut, layers))
    del graph.metadata_props[:]
    body = graph.SerializeToString(deterministic=True)
    digest = hashlib.sha256(body).hexdigest()
    space = recogniser.space if cut == recogniser.graph.graph.output[0].name and not layers else None
    with faults_named(f"key of {recogniser.name} at {cut}: "):
        manifest = Manifest(
            version=1 if space is None else 2,
            key_id=key_id or digest[:16],
            provider=provider,
            recogniser=recogniser.name,
            cut=cut,
            features=place.shape,
            layers=(*layers, cut),
            residual=residual,
            created=created,
            expires=expires,
            sha256=digest,
            space=space,
        )
    return _write(body, manifest, signing_key)


def renew_key(
    key: Key,
    *,
    key_id: str,
    created: datetime | None = None,
    expires: datetime | None = None,
    protector: str | None = None,
    signing_key: Ed25519PrivateKey | None = None,
) -> Key:
    """A key with the graph of another, byte for byte, and so with its space; another name, time and signature.

    Written anew, the same graph may come out in other bytes (another version of the protobuf library): that would be
    another space, and everybody would have to enrol again.

    Args:
        key: whose graph, provider, residual and space are kept.
        key_id: of the new key.
        created: time of making, with a time zone; the present when None.
        expires: end of its validity, with a time zone; None for never.
        protector: SHA-256 of the one-pass protector that the provider offers beside it; None for none.
        signing_key: signs the new manifest; unsigned when None.

    Raises:
        ValueError: a value out of its range.
    """
    created = created or datetime.now(UTC).replace(microsecond=0)
    if expires is not None and expires <= created:
        raise ValueError(f"expires: expected a time after the key's making on {created}, got {expires}")
    values = dict(key.manifest) | {"key_id": key_id, "created": created, "expires": expires, "protector": protector}
    with faults_named(f"key {key_id!r:.80}: "):
        manifest = Manifest.model_validate(values)
    return _write(key.graph, manifest, signing_key)


def _write(body: bytes, manifest: Manifest, signing_key: Ed25519PrivateKey | None) -> Key:
    text = manifest.model_dump_json()
    entries = {MANIFEST: text}
    if signing_key is not None:
        entries[SIGNATURE] = base64.b64encode(signing_key.sign(text.encode())).decode()
        entries[SIGNER] = base64.b64encode(signing_key.public_key().public_bytes_raw()).decode()
    return Key.load(body + metadata(entries), now=manifest.created)


def read_signing_key(path: Path) -> Ed25519PrivateKey:
    """Read a provider's Ed25519 private key (PEM, PKCS 8, unencrypted).

    Raises:
        ValueError: when the file holds something else.
        FileNotFoundError: when it does not exist.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{path}: expected an unencrypted Ed25519 private key in PEM, got: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        kind = type(key).__name__
        raise ValueError(f"{path}: expected an Ed25519 private key, got {kind}")  # noqa: TRY004 - a file's content
    return key
