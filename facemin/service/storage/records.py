"""Collections, persons and templates, as the store hands them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["protected", "plain", "pseudonym"]
"""What a template was made from: a protected image or feature, a plain face, or either under a pseudonym."""
Policy = Literal["required", "allowed", "off"]
"""Of a collection, on uploads under a pseudonym."""
CarrierPolicy = Literal["allowed", "off"]
"""Of a collection, on photos of faces of nobody that carry a pseudonym."""


class Binding(NamedTuple):
    """What two uploads under one pseudonym have in common; nothing else is compared with them."""

    space: str
    """Id of the space, in hexadecimal."""
    epoch: int
    possession: str
    """Ed25519 key that signs the person's uploads, in hexadecimal."""


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A gallery: people who are compared with each other's probes and with nobody else's."""

    id: int
    name: str
    accept_plain: bool
    """Take plain faces as well, for migration."""
    far: float
    """False accept rate whose threshold decides where a request names none."""
    pseudonyms: Policy
    """Whether uploads have to be under a pseudonym, may be, or must not be."""
    carriers: CarrierPolicy = "off"
    """Whether an image under a pseudonym may be a carrier."""
    created: float
    """Seconds since 1970 UTC."""


class Counts(NamedTuple):
    """How much a collection holds."""

    persons: int
    templates: int
    stale: int
    """Templates that another model made, which are compared with nothing."""


@dataclass(frozen=True, kw_only=True)
class Template:
    """One enrolled face."""

    id: int
    kind: Kind
    key_id: str
    """Of the provider key it was protected for; "" for a plain face."""
    fingerprint: str
    """Of the recogniser that made it."""
    created: float
    binding: Binding | None = None
    """None for every kind but a pseudonym."""
    row: NDArray[np.float32] | None
    """float32 (D,), unit length; None where another model made it."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """One person of a collection."""

    id: int
    name: str
    """As the app calls them, or as drawn at enrolment."""
    created: float
    templates: tuple[Template, ...]

    @property
    def binding(self) -> Binding | None:
        """Of their pseudonyms, the latest enrolled; None where they have none."""
        bindings = [template.binding for template in self.templates if template.binding is not None]
        return bindings[-1] if bindings else None
