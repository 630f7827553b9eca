"""The manifest of a provider key: version 1 for plain protection, version 2 for a key that declares a space."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from facemin.models.space import PRINTABLE, SpaceDeclaration, space_id


class Manifest(BaseModel):
    """What a key says of itself; stored as JSON in the ONNX file's metadata."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1, 2] = 1
    """Of this format: 2 for a key with a space, 1 for one without."""
    key_id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """Names the key to its provider; by default the beginning of the graph's SHA-256."""
    provider: str = Field(min_length=1, max_length=200, pattern=PRINTABLE)
    recogniser: str = Field(min_length=1, max_length=200, pattern=PRINTABLE)
    cut: str = Field(min_length=1, max_length=200, pattern=PRINTABLE)
    """Where the provider's recogniser was split."""
    input: Literal["face 3x112x112 RGB [0,1] insightface-5-point"] = "face 3x112x112 RGB [0,1] insightface-5-point"
    """The only input convention there is."""
    features: tuple[int, ...] = Field(min_length=1, max_length=4)
    """Shape of one face's feature at the cut."""
    layers: tuple[str, ...] = Field(min_length=1, max_length=64)
    """Values whose features are matched, in order; the last is the cut."""
    residual: float = Field(gt=0, le=2)
    """Relative feature distance at which to stop, as the provider calibrated it for this cut."""
    created: AwareDatetime
    expires: AwareDatetime | None = None
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the graph's bytes in the file, metadata excluded."""
    space: SpaceDeclaration | None = None
    """What the last layer gives: a unit-length space that pseudonyms can be made in; None for plain protection only."""

    protector: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the one-pass protector file that the provider offers for the space; None where it offers none."""

    @property
    def space_id(self) -> bytes | None:
        """Identity of the space, 32 bytes; None for a key without one."""
        if self.space is None:
            return None
        return space_id(self.sha256, declaration=self.space, input_convention=self.input, output=self.cut)

    @model_validator(mode="after")
    def _check_space(self) -> Manifest:
        if (self.space is not None) != (self.version == 2):
            raise ValueError(f"expected a space in version 2 and in no other, got version {self.version}")
        if self.space is not None and self.features != (self.space.dimension,):
            raise ValueError(f"expected features of the space's {self.space.dimension} numbers, got {self.features}")
        if self.space is not None and self.layers != (self.cut,):
            # an earlier layer matched beside it would carry the face itself past the rotation
            raise ValueError(f"expected the space as the only layer, got {self.layers}")
        if self.protector is not None and self.space is None:
            raise ValueError("expected a protector with a space, got one without")
        return self

    @model_serializer(mode="wrap")
    def _as_its_version(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        if self.version == 1:
            # readers of version 1 refuse what they do not know
            values.pop("space", None)
        if self.protector is None:
            values.pop("protector", None)
        return values
