"""Revealing results: the finding, the error that refuses it, and the warning where it was allowed."""

from __future__ import annotations

from dataclasses import dataclass

from facemin.runtime.errors import FaceminError


@dataclass(frozen=True, kw_only=True)
class Revealing:
    """Why a protected image, or feature, still shows its plain face.

    Attributes:
        keys: ids of the keys it was made for.
        measure: what found the face.
        value: how much of it.
        limit: from which value on the face is shown.
    """

    keys: tuple[str, ...]
    measure: str
    value: float
    limit: float

    def __str__(self) -> str:
        names = ", ".join(self.keys)
        return (
            f"key{'s' * (len(self.keys) > 1)} {names}: expected a result that hides the face, got one that shows it "
            f"({self.measure}: {self.value:.3g}, shown from {self.limit:.3g} on)"
        )


class RevealingKey(FaceminError):  # noqa: N818 - what is refused
    """A key whose protected images show the plain face.

    Attributes:
        found: what was found.
    """

    def __init__(self, found: Revealing) -> None:
        super().__init__(str(found))
        self.found = found


class RevealingWarning(UserWarning):
    """A result that shows the plain face was kept, since `allow_revealing` asked for it."""
