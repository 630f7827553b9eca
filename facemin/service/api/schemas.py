"""Schemas of requests and answers on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, Field, model_validator

from facemin.service.api.fields import HEX_32, Base64, Challenge, CollectionName, Far, PersonName, Strict
from facemin.service.recognition.thresholds import Pair
from facemin.service.storage.records import CarrierPolicy, Kind, Policy
from facemin.service.tokens import LONGEST_DAYS, Scope


def moment(seconds: float) -> datetime:
    """Seconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


Moment = Annotated[AwareDatetime, BeforeValidator(lambda value: moment(value) if isinstance(value, float) else value)]
"""A time on the wire, made of seconds as the store has them."""


def _is_none(value: object) -> bool:
    """Left out of what a request is remembered by, so that requests of earlier versions are known again."""
    return value is None


def _shown(name: str) -> str:
    """A name that shows as it is, on a terminal and in a log."""
    if not name.isprintable():
        raise ValueError("expected printable characters, got others")
    return name


class PseudonymIn(Strict):
    """Which pseudonym an upload is under; neither the secret nor its rotation is ever sent."""

    space: str = Field(pattern=HEX_32, description="Id of the key's space.")
    epoch: int = Field(ge=0, lt=2**53, description="As POST /v1/challenges said.")


class Possession(Strict):
    """Proof that the sender has the secret: an Ed25519 signature of the upload statement (spec/pseudonym.md)."""

    public_key: Annotated[str, Field(pattern=HEX_32)] | None = Field(
        default=None, description="To register at enrolment, or to search by at identify; verify takes the registered."
    )
    signature: str = Field(pattern=r"^[0-9a-f]{128}$")


class Upload(Strict):
    """One face."""

    kind: Literal["image", "feature"] = Field(
        default="image", description="A PNG or JPEG of 112 x 112, or a protected feature (safetensors)."
    )
    key_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = Field(
        default=None,
        examples=["5f5a82f1-1"],
        description="The provider key it was protected for; null for a plain face in a collection that accepts those.",
    )
    data: Base64 = Field(
        min_length=1, repr=False, examples=["iVBORw0KGgo..."], json_schema_extra={"contentEncoding": "base64"}
    )
    pseudonym: PseudonymIn | None = Field(
        default=None, exclude_if=_is_none, description="Null for an upload under none."
    )
    possession: Possession | None = Field(default=None, exclude_if=_is_none, description="Goes with a pseudonym.")

    @model_validator(mode="after")
    def _signed(self) -> Upload:
        if (self.pseudonym is None) != (self.possession is None):
            raise ValueError("expected a pseudonym and a proof of possession together, got one of them")
        return self


class Enrolment(Strict):
    """A person to enrol, or further faces of one who is."""

    person: PersonName | None = Field(default=None, description="A random name is drawn where none is given.")
    uploads: list[Upload] = Field(min_length=1, max_length=64)
    replace: bool = Field(default=False, description="Take out the person's earlier templates.")
    challenge: Challenge | None = Field(
        default=None, exclude_if=_is_none, description="Needed for uploads under a pseudonym."
    )


class Verification(Strict):
    """A claim that a face is a certain person's."""

    person: PersonName
    upload: Upload
    challenge: Challenge
    far: Far | None = Field(default=None, description="The collection's own where none is given.")
    upgrade: list[Upload] | None = Field(
        default=None,
        exclude_if=_is_none,
        min_length=1,
        max_length=64,
        description="Uploads under a pseudonym, signed for the operation enrol: where the person is accepted under the "
        "old kind, they replace the person's templates in the same transaction.",
    )


class Renewal(Strict):
    """A verification under the old epoch, and the enrolment that takes its place under the next."""

    upload: Upload = Field(description="Under the old epoch, signed by the registered key over the new ones as well.")
    uploads: list[Upload] = Field(
        min_length=1, max_length=64, description="Under the next epoch, signed for the operation renew."
    )
    challenge: Challenge


class Identification(Strict):
    """Faces whose people are asked for."""

    uploads: list[Upload] = Field(min_length=1, max_length=64)
    challenge: Challenge
    far: Far | None = None
    top: int = Field(default=5, ge=1, le=100, description="People named for each face.")


class NewCollection(Strict):
    """A gallery to make."""

    name: CollectionName
    accept_plain: bool = Field(default=False, description="Take unprotected faces too, for migration.")
    far: Far | None = Field(default=None, description="Decides where a request names none.")
    pseudonyms: Policy | None = Field(
        default=None, description="Null: required where the provider's key has a space, else off."
    )
    carriers: CarrierPolicy = Field(
        default="off", description="Whether an image under a pseudonym may be a photo of a face of nobody."
    )


class CollectionChange(Strict):
    """Settings to change; null leaves one as it is."""

    accept_plain: bool | None = None
    far: Far | None = None
    pseudonyms: Policy | None = None
    carriers: CarrierPolicy | None = None


class NewToken(Strict):
    """A token to make."""

    name: Annotated[str, AfterValidator(_shown)] = Field(min_length=1, max_length=100, examples=["door app"])
    grants: list[Annotated[str, Field(max_length=80)]] = Field(
        min_length=1, max_length=100, examples=[["verify:staff"]], description="SCOPE or SCOPE:COLLECTION."
    )
    days: float | None = Field(default=None, gt=0, le=LONGEST_DAYS, description="Validity; null for ever.")


class TokenOut(BaseModel):
    """A token without its secret."""

    id: str
    name: str
    grants: list[tuple[Scope, str]]
    expires: Moment | None
    revoked: Moment | None


class TokenMade(TokenOut):
    """A new token; its text is shown here and never again."""

    token: str


class KeyOut(BaseModel):
    """One of the provider's keys."""

    key_id: str
    number: int
    state: Literal["current", "replaced", "ended", "revoked"]
    fingerprint: str = Field(description="SHA-256 of the file.")
    created: Moment
    expires: Moment | None
    until: Moment | None = Field(description="End of the overlap, for a replaced key.")


class ChallengeOut(BaseModel):
    """A challenge for one verify or identify."""

    challenge: str
    expires: Moment
    epoch: int = Field(default=0, description="Of the person's pseudonym; 0 as well where there is no such person.")
    features: bool = Field(default=True, description="Whether features are taken, beside images.")
    pseudonyms: Policy | None = Field(default=None, description="Of the collection that was named.")
    carriers: CarrierPolicy | None = Field(default=None, description="Of the collection that was named.")
    threshold: float | None = Field(
        default=None,
        description="Of pseudonyms at the FAR of the collection that was named: a probe's best cosine need not say "
        "more than whether it reaches it.",
    )


class CollectionOut(BaseModel):
    """A gallery."""

    name: str
    accept_plain: bool
    far: float
    pseudonyms: Policy
    carriers: CarrierPolicy
    created: Moment
    persons: int | None = Field(default=None, description="Counted only when the collection itself is asked for.")
    templates: int | None = None
    stale: int | None = Field(default=None, description="Templates of another model, which are compared with nothing.")


class TemplateOut(BaseModel):
    """One enrolled face."""

    id: int
    kind: Kind
    key_id: str
    current: bool = Field(description="Whether today's model made it; others have to be enrolled anew.")
    space: str | None = Field(default=None, description="Of a pseudonym: id of its space.")
    epoch: int | None = None
    possession: str | None = Field(default=None, description="Of a pseudonym: Ed25519 key that signs its uploads.")
    created: Moment


class PersonOut(BaseModel):
    """An enrolled person."""

    person: str
    created: Moment
    templates: list[TemplateOut]


class PersonExport(PersonOut):
    """Everything held of a person."""

    embeddings: list[list[float] | None] = Field(description="One a template; null for one of another model.")
    fingerprint: str = Field(description="Of the model that made them.")


class Names(BaseModel):
    """A page of names."""

    persons: list[str]
    next: str | None = Field(description="Value of `after` for the next page.")


class Decision(BaseModel):
    """What was decided on one person, and by which measured threshold."""

    person: str
    accepted: bool
    score: float = Field(description="Cosine with the person's template that decided.")
    threshold: float
    far: float
    threshold_id: str = Field(description="Names the measurement: GET /v1/thresholds.")
    enrolled_as: Kind


class Identified(BaseModel):
    """The nearest people for each face, best first."""

    results: list[list[Decision]]


class ThresholdOut(BaseModel):
    """A measured threshold."""

    id: str
    pair: Pair
    far: float
    threshold: float
    far_measured: float
    impostor_pairs: int
    genuine_pairs: int
    tar: float
    measured: bool = Field(description="False where the threshold of plain pairs stands in.")


class Thresholds(BaseModel):
    """All thresholds, and what they were measured on."""

    model: str
    fingerprint: str
    cut: str
    data: str
    thresholds: list[ThresholdOut]


class AuditEntry(BaseModel):
    """One line of the audit log."""

    id: int
    at: Moment
    request_id: str
    token_id: str | None
    action: str
    collection: str | None
    person: str | None
    outcome: str


class Health(BaseModel):
    """That the process answers."""

    status: Literal["ok"] = "ok"


class Version(BaseModel):
    """What runs here."""

    facemin: str
    model: str
    fingerprint: str
    cut: str


class Problem(BaseModel):
    """A refusal."""

    code: str = Field(examples=["plain_face"])
    message: str = Field(examples=["upload: this looks like an unprotected face; protect it before sending it"])
    request_id: str
