"""A person's device in tests: a secret, an embedding drawn at random in place of a face, and what it sends."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facemin.client.pseudonymous import Form, Operation, Sender
from facemin.keys.key import Key
from facemin.models import MODELS, SPACE_MODEL
from facemin.protection import PMT
from facemin.protection.upload import encode_feature
from facemin.pseudonym import PossessionKey, Secret
from tests.service.running import Running

QUICK = PMT(steps=12, residual=0.5)
"""Of clients without a pseudonym, where the mechanism is tested and not how closely an image matches."""
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
        return self.sender.possession

    def challenge(self, person: str | None = None, token: str = "admin", **more: str) -> Any:
        query = "&".join(f"{name}={text}" for name, text in {"collection": self.collection, **more}.items())
        if person is not None:
            query += f"&person={person}"
        reply = self.server("POST", f"/v1/challenges?{query}", token=token)
        assert reply.status == 201, reply.data
        return reply.json()

    @property
    def sender(self) -> Sender:
        return Sender(secret=self.secret, origin=self.server.url, collection=self.collection, key=self.key)

    def feature(self, embedding: NDArray[np.float64], epoch: int = 0) -> bytes:
        return encode_feature(self.sender.pseudonym(epoch).targets(embedding[None])[0], self.key)

    def upload(
        self,
        data: bytes,
        challenge: str,
        operation: Operation,
        person: str,
        *,
        epoch: int = 0,
        kind: Form = "feature",
        replaced_by: tuple[list[bytes], "Device"] | None = None,
    ) -> dict[str, Any]:
        replaced = None if replaced_by is None else (replaced_by[0], replaced_by[1].possession.public)
        (made,) = self.sender.uploads(
            [data], epoch, kind, challenge=challenge, operation=operation, person=person, replaced_by=replaced
        )
        return made

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
