"""A protected photo in a line of text, and as a picture in notebooks."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

from facemin.image import encode

if TYPE_CHECKING:
    from facemin.protection.result import ProtectedFace


class InNotebooks:
    """How a result shows itself; for classes with a photo's name, verdict and faces."""

    name: str
    faces: tuple[ProtectedFace, ...]

    if TYPE_CHECKING:

        @property
        def verdict(self) -> str:
            """What was found, in words."""

        @property
        def unreached(self) -> dict[str, int]:
            """By key id, the faces that did not reach it."""

    def __repr__(self) -> str:
        weak = "".join(f"; {count} did not reach key {key}" for key, count in self.unreached.items())
        return f"<{type(self).__name__} {self.name}: {self.verdict}{weak}>"

    def _repr_html_(self) -> str:
        """The protected faces in a row."""
        images = "".join(
            f'<img alt="protected face {number}" width="112" height="112" style="image-rendering: pixelated" '
            f'src="data:image/png;base64,{base64.b64encode(encode(face.done.pixels)).decode()}"> '
            for number, face in enumerate(self.faces, 1)
            if face.done.pixels is not None
        )
        return f"<figure>{images}<figcaption>{escape(repr(self))}</figcaption></figure>"
