"""Results of protection: a photo's protected faces, and the files they are written to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from facemin.face import Face, paste
from facemin.image import Photo, encode
from facemin.protection.notebook import InNotebooks
from facemin.protection.revealing.finding import Revealing
from facemin.protection.upload import encode_feature, encode_pseudonym, feature_of
from facemin.runtime.errors import NoFace
from facemin.runtime.files import all_or_none, write_atomically

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facemin.keys.key import Key
    from facemin.protection.contract import Protected

Upload = Literal["image", "features"]
SUFFIXES: dict[Upload, str] = {"image": ".png", "features": ".safetensors"}
"""How the file of an upload ends."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class ProtectedFace:
    """One face of a photo, protected."""

    face: Face
    """Where it was found."""
    inside: float
    """Share of its crop that lies in the photo, in [0, 1]."""
    done: Protected
    """The protected image and what was spent on it."""
    keys: tuple[Key, ...]
    """Those that it was protected for."""
    target: NDArray[np.float32] | None = None
    """Under a pseudonym, where features are sent: the target, (D,) float32 of unit length."""
    revealing: Revealing | None = None
    """What it still shows of the plain face, where `allow_revealing` kept it."""

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The protected image, uint8 RGB (112, 112, 3).

        Raises:
            ValueError: there is none, since the target itself is sent.
        """
        if self.done.pixels is None:
            raise ValueError("face: expected a protected image, got a feature under a pseudonym, which has none")
        return self.done.pixels

    @property
    def found(self) -> bool:
        """False for a carrier in which the device's own detector does not find one face."""
        return self.done.file is None or bool(self.done.file.told["found"])

    def __repr__(self) -> str:
        state = "reached" if self.done.reached else "NOT reached"
        residuals = ", ".join(f"{value:.3f}" for value in self.done.residuals)
        what = "feature" if self.done.pixels is None else "{1} x {0}".format(*self.done.pixels.shape)
        return f"<ProtectedFace {what}: {self.done.steps} steps, residual {residuals} ({state})>"

    def _repr_png_(self) -> bytes | None:
        """The protected image, for notebooks."""
        return None if self.done.pixels is None else encode(self.done.pixels)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class ProtectedPhoto(InNotebooks):
    """All that came of one photo."""

    name: str
    photo: Photo | None
    """The plain photo, where it was kept."""
    exif: bytes | None
    """The photo's EXIF, as `image.encode` takes it."""
    faces: tuple[ProtectedFace, ...]
    """Largest first; of the one person's face under pseudonyms for several providers, one for each of the keys."""
    at_edge: tuple[Face, ...]
    """Faces left out because most of them lies outside the photo."""
    others: tuple[Face, ...] = ()
    """Faces left out because they are not the person's whose secret was used, or smaller."""
    keys: tuple[Key, ...]
    upload: Upload
    notes: tuple[str, ...] = ()
    """Of how the photo was read, in words; see `Photo.notes`. And of carriers in which no face is found."""
    secret: str | None = None
    """Fingerprint of the secret whose pseudonyms these are; None for plain protection."""
    secret_made: bool = False
    """Whether that secret was made for this: then `facemin.pseudonym.LOSS` holds, and its words belong on paper."""
    epoch: int = 0
    """Of the pseudonyms."""

    def encoded(self, face: ProtectedFace, *, exif: bool = False) -> bytes:
        """The file to upload for one of the faces: a PNG, a carrier's PNG or JPEG, or the feature as safetensors.

        Args:
            face: one of `faces`.
            exif: put the photo's EXIF into the PNG.

        Raises:
            ValueError: EXIF under a pseudonym.
        """
        if exif and self.secret is not None:
            raise ValueError(f"{self.name}: expected no EXIF under a pseudonym, since it tells time, place and camera")
        if face.done.file is not None:
            return face.done.file.data
        if face.target is not None:
            return encode_pseudonym(face.target, face.keys[0], epoch=self.epoch)
        if self.upload == "features":
            from facemin.autograd.pixels import to_tensor

            return encode_feature(feature_of(to_tensor(face.pixels), face.keys[0]).numpy(), face.keys[0])
        return encode(face.pixels, exif=self.exif if exif else None)

    def save(self, path: str | Path, *, exif: bool = False) -> list[Path]:
        """Write what is to be uploaded, one file a face.

        The largest is written to `path`; for `me.protected.png` the second to `me.2.protected.png`, and so on. An
        image for each of several keys is written to `me.KEYID.protected.png`.

        Returns:
            The paths, largest face first; the largest is written last, so its file marks a whole result.

        Raises:
            NoFace: when there is no face.
            ValueError: when the path does not end in `suffix`, which is `.png`, a JPEG carrier's `.jpg`, or, for
                features, `.safetensors`: what is sent has to stay exact.
        """
        path = Path(path)
        suffix = self.suffix
        if path.suffix.lower() != suffix:
            raise ValueError(f"{path}: expected a path that ends in {suffix}, since the upload has to stay exact")
        if not self.faces:
            raise NoFace(f"{self.name}: {self.verdict}")
        if any(face.keys != self.keys for face in self.faces):
            paths = [marked(path, face.keys[0].manifest.key_id) for face in self.faces]
        else:
            paths = [numbered(path, number) for number in range(1, len(self.faces) + 1)]
        with all_or_none() as written:
            for place, face in reversed(list(zip(paths, self.faces, strict=True))):
                write_atomically(place, self.encoded(face, exif=exif))
                written.append(place)
        return paths

    def pasted(self) -> NDArray[np.uint8]:
        """The photo, uint8 RGB (H, W, 3), with every protected face put back in its place.

        Faces that were left out are painted grey. What the detector did not find stays as it was: look before you
        share. Pasting resamples the face: upload the protected image, not this.

        Raises:
            ValueError: when the photo was not kept, or a face has no image.
        """
        if self.photo is None:
            raise ValueError(f"{self.name}: expected a result with its photo, got one made with keep_photo=False")
        if any(face.done.file is not None for face in self.faces):
            raise ValueError(f"{self.name}: expected protected faces to paste, got a carrier, which is a photo itself")
        pixels = self.photo.pixels.copy()
        for face in (*self.at_edge, *self.others):
            x1, y1, x2, y2 = (max(0, round(value)) for value in face.box)
            pixels[y1 : y2 + 1, x1 : x2 + 1] = 128
        shown = {id(face.face): face for face in reversed(self.faces)}
        if not shown:
            return pixels
        crops = np.stack([face.pixels for face in shown.values()])
        return paste(pixels, crops, np.stack([face.face.points for face in shown.values()]))

    @property
    def suffix(self) -> str:
        """How the files that are uploaded end."""
        files = [face.done.file for face in self.faces if face.done.file is not None]
        return files[0].suffix if files else SUFFIXES[self.upload]

    @property
    def verdict(self) -> str:
        """What was found, in words."""
        edge = f", {len(self.at_edge)} left out at the edge" if self.at_edge else ""
        if self.faces:
            count = len({id(face.face) for face in self.faces})
            others = f", {len(self.others)} left out (another person)" if self.others else ""
            return f"{count} face{'s' * (count > 1)} protected{others}{edge}"
        if self.at_edge:
            return "found a face only at the edge of the photo; expected one that lies within it"
        return "no face found"

    @property
    def unreached(self) -> dict[str, int]:
        """By key id, the faces whose residual to it was not met: its provider may not recognise them."""
        unmet = [face.keys[number].manifest.key_id for face in self.faces for number in face.done.unmet]
        names = [key.manifest.key_id for key in self.keys]
        return {name: unmet.count(name) for name in names if name in unmet}


class NothingProtected(ProtectedPhoto):
    """What `protect` gives for a photo that holds no face it could protect; `verdict` says why.

    It has no `faces`, and `save` raises `NoFace`. The photo is as plain as it was.
    """


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A photo that could not be protected, and why."""

    name: str
    reason: str
    revealing: Revealing | None = None
    """What the protected image would have shown of the plain face, where that is the reason."""


def numbered(path: Path, number: int) -> Path:
    """The path of a photo's face: the first has the path itself, the second `name.2.rest`, and so on."""
    return path if number == 1 else marked(path, str(number))


def marked(path: Path, mark: str) -> Path:
    """A path with a mark before its ending: `name.MARK.protected.png` for `name.protected.png`."""
    stem, dot, rest = path.name.rpartition(".protected.")
    if not dot:
        stem, dot, rest = path.stem, ".", path.suffix.removeprefix(".")
    return path.with_name(f"{stem}.{mark}{dot}{rest}")
