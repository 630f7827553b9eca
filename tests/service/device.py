"""A person's device in tests: a secret, an embedding drawn at random in place of a face, and what it sends."""

import base64
import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from facemin.keys.key import Key
from facemin.models import MODELS, SPACE_MODEL
from facemin.protection.upload import FORMAT, TENSOR
from facemin.pseudonym import Context, PossessionKey, Pseudonym, Secret, UploadStatement
from facemin.pseudonym.possession import renewal_digest
from tests.service.running import Running

SPACE: dict[str, Any] = {"model": SPACE_MODEL, "cut": MODELS[SPACE_MODEL].default_cut, "residual": 0.3}


def face(seed: int, size: int = 66) -> NDArray[np.float64]:
    """A unit embedding; each seed another person."""
    row = np.random.default_rng(seed).standard_normal(size)
    return np.asarray(row / np.linalg.norm(row))


def again(embedding: NDArray[np.float64], seed: int, noise: float = 0.05) -> NDArray[np.float64]:
    """Another capture of the same person."""
    row = embedding + noise * face(seed, len(embedding))
    return np.asarray(row / np.linalg.norm(row))


def photos(shared: Path, person: str, count: int) -> list[Path]:
    """The first photos of one of LFW's people."""
    found = sorted((shared / "data" / "lfw" / person).glob("*.jpg"))[:count]
    if len(found) < count:
        pytest.skip(f"needs {count} photos of one person of LFW")
    return found


@lru_cache(maxsize=4)
def loaded(data: bytes) -> Key:
    """A key's file, whose graph is checked once and not for every upload."""
    return Key.load(data)


@dataclass
class Device:
    """Sends features, signed, to one collection."""

    server: Running
    place: str
    secret: Secret = field(default_factory=Secret.new)

    @property
    def collection(self) -> str:
        return self.place.rpartition("/")[2]

    @property
    def key(self) -> Key:
        return loaded(self.server.provider.keyring.file(self.server.provider.keyring.current()))

    @property
    def possession(self) -> PossessionKey:
        return PossessionKey(secret=self.secret, origin=self.server.url, purpose=self.collection)

    def challenge(self, person: str | None = None, token: str = "admin", **more: str) -> Any:
        query = "&".join(f"{name}={text}" for name, text in {"collection": self.collection, **more}.items())
        if person is not None:
            query += f"&person={person}"
        reply = self.server("POST", f"/v1/challenges?{query}", token=token)
        assert reply.status == 201, reply.data
        return reply.json()

    def feature(self, embedding: NDArray[np.float64], epoch: int = 0) -> bytes:
        key = self.key
        assert key.space is not None
        context = Context(
            origin=self.server.url,
            signer=key.signer or b"",
            space=key.space.id,
            dimension=key.space.dimension,
            purpose=self.collection,
            epoch=epoch,
        )
        row = Pseudonym(secret=self.secret, context=context).targets(embedding[None])[0]
        metadata = {"format": FORMAT, "key_id": key.manifest.key_id, "cut": key.manifest.cut}
        return save({TENSOR: np.ascontiguousarray(row)}, metadata)

    def upload(
        self,
        data: bytes,
        challenge: str,
        operation: str,
        person: str,
        *,
        epoch: int = 0,
        kind: str = "feature",
        replaced_by: tuple[list[bytes], "Device"] | None = None,
    ) -> dict[str, Any]:
        digest = hashlib.sha256(data).digest()
        if replaced_by is not None:
            new, device = replaced_by
            hashes = [hashlib.sha256(each).digest() for each in new]
            digest = renewal_digest(digest, hashes, device.possession.public)
        statement = UploadStatement(
            challenge=challenge.encode(),
            operation=operation,
            purpose=self.collection,
            upload=digest,
            person=person,
            epoch=epoch,
        )
        space = self.key.space
        assert space is not None
        return {
            "kind": kind,
            "key_id": self.server.key_id,
            "data": base64.b64encode(data).decode(),
            "pseudonym": {"space": space.id.hex(), "epoch": epoch},
            "possession": {
                "public_key": self.possession.public.hex(),
                "signature": self.possession.sign(statement).hex(),
            },
        }

    def enrol(
        self, person: str, embedding: NDArray[np.float64], *, epoch: int = 0, token: str = "admin", **more: Any
    ) -> Any:
        challenge = self.challenge(person, token)["challenge"]
        upload = self.upload(self.feature(embedding, epoch), challenge, "enrol", person, epoch=epoch)
        body = {"person": person, "uploads": [upload], "challenge": challenge} | more
        return self.server("POST", f"{self.place}/persons", body, token=token)

    def verify(
        self, person: str, embedding: NDArray[np.float64], *, epoch: int = 0, token: str = "admin", **more: Any
    ) -> Any:
        return self.send(person, self.feature(embedding, epoch), epoch=epoch, token=token, **more)

    def send(self, person: str, data: bytes, *, epoch: int = 0, token: str = "admin", **more: Any) -> Any:
        """Verify by what was made before."""
        challenge = self.challenge(person, token)["challenge"]
        upload = self.upload(data, challenge, "verify", person, epoch=epoch)
        body = {"person": person, "upload": upload, "challenge": challenge} | more
        return self.server("POST", f"{self.place}/verify", body, token=token)

    def renew(
        self,
        person: str,
        probe: NDArray[np.float64],
        new: NDArray[np.float64],
        *,
        epoch: int = 0,
        device: "Device | None" = None,
        signer: "Device | None" = None,
        raised: int = 1,
        token: str = "admin",
    ) -> Any:
        """Renew, for another device's secret where one is given; `signer` makes what replaces the old one."""
        device = device or self
        challenge = self.challenge(person, token)["challenge"]
        data, old = device.feature(new, epoch + raised), self.feature(probe, epoch)
        first = self.upload(old, challenge, "renew", person, epoch=epoch, replaced_by=([data], device))
        second = (signer or device).upload(data, challenge, "renew", person, epoch=epoch + raised)
        body = {"upload": first, "uploads": [second], "challenge": challenge}
        return self.server("POST", f"{self.place}/persons/{person}/renew", body, token=token)
