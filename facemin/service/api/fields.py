"""Field types of requests, and their strict base."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Base64Encoder, BaseModel, ConfigDict, EncodedBytes, Field, PlainSerializer, model_validator
from pydantic_core import PydanticCustomError

from facemin.service.api.errors import ServiceError

NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
PERSON = r"^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$"
CHALLENGE = r"^[A-Za-z0-9_-]{43}$"
HEX_32 = r"^[0-9a-f]{64}$"

CollectionName = Annotated[str, Field(pattern=NAME, examples=["staff"])]
PersonName = Annotated[
    str,
    Field(
        pattern=PERSON,
        examples=["u-4711"],
        description="How the app calls the person. It stays in the audit log: use a pseudonym, not a name or address.",
    ),
]
Far = Annotated[float, Field(gt=0, lt=1, examples=[1e-3], description="False accept rate whose threshold decides.")]
Challenge = Annotated[str, Field(pattern=CHALLENGE, description="From POST /v1/challenges; counts once.")]


class _ExactBase64(Base64Encoder):
    """Base64 of the standard alphabet with its padding: nothing in it is passed over, no two texts are one upload."""

    @classmethod
    def decode(cls, data: bytes) -> bytes:
        """The bytes; what does not come out the same when it is encoded again is refused."""
        try:
            decoded = base64.b64decode(data, validate=True)
        except ValueError:
            decoded = None
        if decoded is None or base64.b64encode(decoded) != data:
            raise PydanticCustomError(
                "base64", "expected base64 of the standard alphabet with its padding, and nothing else, got other text"
            )
        return decoded


Base64 = Annotated[
    bytes, Field(strict=False), EncodedBytes(encoder=_ExactBase64), PlainSerializer(lambda _: "", return_type=str)
]
"""Never written out again: an upload is in no answer, log or error."""


@dataclass(frozen=True)
class Unusable:
    """In place of a body that is not what its endpoint takes."""

    message: str


class Strict(BaseModel):
    """A body that holds nothing but what its endpoint knows, each of the type it says: "0" is no number, 1 no truth."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _usable(cls, value: Any) -> Any:
        """Refuse what could not be parsed, once the caller was found to be one who may ask."""
        if isinstance(value, Unusable):
            raise ServiceError(422, "invalid_request", value.message)
        return value
