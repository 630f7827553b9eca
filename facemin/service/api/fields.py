"""Field types of requests, and their strict base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, PlainSerializer, model_validator

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
Base64 = Annotated[Base64Bytes, PlainSerializer(lambda _: "", return_type=str)]
"""Never written out again: an upload is in no answer, log or error."""


@dataclass(frozen=True)
class Unusable:
    """In place of a body that is not what its endpoint takes."""

    message: str


class Strict(BaseModel):
    """A body that holds nothing but what its endpoint knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _usable(cls, value: Any) -> Any:
        """Refuse what could not be parsed, once the caller was found to be one who may ask."""
        if isinstance(value, Unusable):
            raise ServiceError(422, "invalid_request", value.message)
        return value
