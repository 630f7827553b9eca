"""From photos to protected faces: decode, detect, align, protect; one photo or a stream of them."""

from __future__ import annotations

import secrets
import warnings
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from facemin.autograd.pixels import to_array, to_grid, to_tensor, to_unit
from facemin.face import Detector, Face, Faces, align_unrounded, faces_in, paste
from facemin.face.crop import the_aligned
from facemin.image import MAX_PIXELS, Photo, encode
from facemin.protection.feature_inversion import check_revealing_feature
from facemin.protection.notebook import InNotebooks
from facemin.protection.pmt.initialisation import SEED_BITS
from facemin.protection.revealed import RevealingKey, RevealingWarning
from facemin.protection.revealing import check_revealing
from facemin.protection.sources import open_keys, open_method, read_photo
from facemin.protection.upload import encode_feature, feature_of
from facemin.runtime.errors import NoFace, in_words
from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.keys.key import Key
    from facemin.protection.pmt.optimise import Done, OnStep
    from facemin.protection.registry import Protector
    from facemin.protection.revealed import Revealing
    from facemin.protection.sources import AnyKey, AnyPhoto

Upload = Literal["image", "features"]
SUFFIXES: dict[Upload, str] = {"image": ".png", "features": ".safetensors"}
"""How the file of an upload ends."""


@dataclass(frozen=True, kw_only=True, repr=False)
class ProtectedFace:
    """One face of a photo, protected."""

    face: Face
    """Where it was found."""
    inside: float
    """Share of its crop that lies in the photo, in [0, 1]."""
    done: Done
    """The protected image and what was spent on it."""
    revealing: Revealing | None = None
    """What it still shows of the plain face, where `allow_revealing` kept it."""

    @property
    def pixels(self) -> Tensor:
        """The protected image, uint8 RGB (3, 112, 112)."""
        return self.done.pixels

    def __repr__(self) -> str:
        state = "reached" if self.done.reached else "NOT reached"
        residuals = ", ".join(f"{value:.3f}" for value in self.done.residuals)
        return f"<ProtectedFace 112 x 112: {self.done.steps} steps, residual {residuals} ({state})>"

    def _repr_png_(self) -> bytes:
        """The protected image, for notebooks."""
        return encode(to_array(self.pixels))


@dataclass(frozen=True, kw_only=True, repr=False)
class ProtectedPhoto(InNotebooks):
    """All that came of one photo."""

    name: str
    photo: Photo | None
    """The plain photo, where it was kept."""
    exif: bytes | None
    """The photo's EXIF, as `image.encode` takes it."""
    faces: tuple[ProtectedFace, ...]
    """Largest first."""
    at_edge: tuple[Face, ...]
    """Faces left out because most of them lies outside the photo."""
    keys: tuple[Key, ...]
    upload: Upload
    notes: tuple[str, ...] = ()
    """Of how the photo was read, in words; see `Photo.notes`."""

    def encoded(self, face: ProtectedFace, *, exif: bool = False) -> bytes:
        """The file to upload for one of the faces: a PNG, or the protected feature as safetensors.

        Args:
            face: one of `faces`.
            exif: put the photo's EXIF into the PNG.
        """
        if self.upload == "features":
            return encode_feature(feature_of(face.pixels, self.keys[0]), self.keys[0])
        return encode(to_array(face.pixels), exif=self.exif if exif else None)

    def save(self, path: str | Path, *, exif: bool = False) -> list[Path]:
        """Write what is to be uploaded, one file a face.

        The largest is written to `path`; for `me.protected.png` the second to `me.2.protected.png`, and so on.

        Returns:
            The paths, largest face first; the largest is written last, so its file marks a whole result.

        Raises:
            NoFace: when there is no face.
            ValueError: when the path does not end in `.png` (in `.safetensors` for features):
                the protected image has to stay exact.
        """
        path = Path(path)
        suffix = SUFFIXES[self.upload]
        if path.suffix.lower() != suffix:
            raise ValueError(f"{path}: expected a path that ends in {suffix}, since the upload has to stay exact")
        if not self.faces:
            raise NoFace(f"{self.name}: {self.verdict}")
        paths = [numbered(path, number) for number in range(1, len(self.faces) + 1)]
        for place, face in reversed(list(zip(paths, self.faces, strict=True))):
            write_atomically(place, self.encoded(face, exif=exif))
        return paths

    def pasted(self) -> NDArray[np.uint8]:
        """The photo, uint8 RGB (H, W, 3), with every protected face put back in its place.

        Faces that were left out at the edge are painted grey. What the detector did not find stays as it was: look
        before you share. Pasting resamples the face: upload the protected image, not this.

        Raises:
            ValueError: when the photo was not kept.
        """
        if self.photo is None:
            raise ValueError(f"{self.name}: expected a result with its photo, got one made with keep_photo=False")
        pixels = self.photo.pixels.copy()
        for face in self.at_edge:
            x1, y1, x2, y2 = (max(0, round(value)) for value in face.box)
            pixels[y1 : y2 + 1, x1 : x2 + 1] = 128
        if not self.faces:
            return pixels
        crops = to_array(torch.stack([face.pixels for face in self.faces]))
        return paste(pixels, crops, np.stack([face.face.points for face in self.faces]))

    @property
    def verdict(self) -> str:
        """What was found, in words."""
        if self.faces:
            edge = f", {len(self.at_edge)} left out at the edge" if self.at_edge else ""
            return f"{len(self.faces)} face{'s' * (len(self.faces) > 1)} protected{edge}"
        if self.at_edge:
            return "found a face only at the edge of the photo; expected one that lies within it"
        return "no face found"

    @property
    def unreached(self) -> dict[str, int]:
        """By key id, the faces whose residual to it was not met: its provider may not recognise them."""
        counts = {
            key.manifest.key_id: sum(number in face.done.unmet for face in self.faces)
            for number, key in enumerate(self.keys)
        }
        return {key: count for key, count in counts.items() if count}


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
    if number == 1:
        return path
    stem, dot, rest = path.name.rpartition(".protected.")
    if not dot:
        stem, dot, rest = path.stem, ".", path.suffix.removeprefix(".")
    return path.with_name(f"{stem}.{number}{dot}{rest}")


def protect(
    photo: AnyPhoto,
    *,
    keys: Sequence[AnyKey] | AnyKey,
    seed: int | None = None,
    upload: Upload = "image",
    method: Protector | str | None = None,
    detector: Detector | None = None,
    max_pixels: int = MAX_PIXELS,
    allow_revealing: bool = False,
    on_step: OnStep | None = None,
) -> ProtectedPhoto:
    """Protect every face of a photo for the holders of the keys.

    Example:
        >>> out = facemin.protect("me.jpg", keys=["acme.key.onnx"])  # doctest: +SKIP
        >>> out.save("me.protected.png")  # doctest: +SKIP

    Args:
        photo: a path, a file's bytes, a PIL image, a uint8 array (H, W, 3) in RGB or (H, W) in grey, or what `decode`
            gave.
        keys: whose holders shall still recognise the people; at least one, each a `Key` or its file.
        seed: of the noise that protection starts from, in [0, 2^128); drawn from the system when None. Keep it
            secret: with it and a guess of the photo, anybody can make the same protected image.
        upload: what `save` writes: "image", or "features", the protected feature E_c(x~) for a single key.
        method: settings, or a name of `METHODS` ("robust", "pmt", ...); the default of `PROTECTORS` when None.
        detector: to share one among many calls.
        max_pixels: most pixels that a photo may have; phones of 108 megapixels need more than the default.
        allow_revealing: keep results that still show the plain face, with a `RevealingWarning`; for research.
        on_step: told before every step how many steps each face in work has taken.

    Returns:
        The photo's protected faces, largest first; a `NothingProtected` where none could be.

    Raises:
        RevealingKey: a result would show the plain face.
        InvalidPhoto: when the photo cannot be read.
        InvalidKey: a file that is no key, or must not be used.
        ValueError: no key, an unknown method, or settings out of range.
        FileNotFoundError: when the path does not exist.
    """
    stream = protect_photos(
        [photo],
        keys=keys,
        seed=seed,
        upload=upload,
        method=method,
        detector=detector,
        keep_errors=False,
        max_pixels=max_pixels,
        allow_revealing=allow_revealing,
        on_step=on_step,
    )
    result = next(stream)
    assert isinstance(result, ProtectedPhoto)
    return result


def protect_photos(
    photos: Iterable[AnyPhoto],
    *,
    keys: Sequence[AnyKey] | AnyKey,
    seed: int | None = None,
    upload: Upload = "image",
    method: Protector | str | None = None,
    detector: Detector | None = None,
    aligned: bool = False,
    keep_photo: bool = True,
    keep_errors: bool = True,
    max_pixels: int = MAX_PIXELS,
    allow_revealing: bool = False,
    on_step: OnStep | None = None,
) -> Iterator[ProtectedPhoto | Failure]:
    """Protect a stream of photos, their faces sharing batches; in order of finishing, in constant memory.

    Args:
        photos: drawn only as fast as faces are protected.
        keys: as in `protect`.
        seed: as in `protect`.
        upload: as in `protect`.
        method: as in `protect`.
        detector: as in `protect`.
        aligned: photos are aligned 112 x 112 faces already: detect and align nothing.
        keep_photo: let results with faces hold the plain photo, which `pasted` needs.
        keep_errors: yield a photo that cannot be read as a `Failure` and go on; raise it when False. So with
            one whose result would show a plain face.
        max_pixels: as in `protect`.
        allow_revealing: as in `protect`.
        on_step: as in `protect`.

    Yields:
        One result a photo; a `NothingProtected` for one without a face that could be protected.

    Raises:
        RevealingKey: a result would show the plain face, and `keep_errors` is False.
        ValueError: no key, or settings out of range; and unreadable photos where `keep_errors` is False.
    """
    keys = open_keys(keys)
    if upload == "features" and len(keys) != 1:
        raise ValueError(f"upload 'features': expected exactly one key, got {len(keys)}")
    stream = _Stream(
        detector or Detector(), aligned=aligned, keep_photo=keep_photo, keep_errors=keep_errors, max_pixels=max_pixels
    )
    method = open_method(method)
    seed = secrets.randbits(SEED_BITS) if seed is None else seed
    for done in method.stream(stream.faces(photos), keys, seed=seed, on_step=on_step):
        stream.finish(done, _revealing(done, stream.plain(done.index), keys, upload), allowed=allow_revealing)
        while stream.ready:
            yield _result(stream.ready.popleft(), keys, upload)
    while stream.ready:
        yield _result(stream.ready.popleft(), keys, upload)


@dataclass(kw_only=True)
class _Open:
    """A photo some of whose faces may still be in the batch."""

    name: str
    photo: Photo | None
    exif: bytes | None
    notes: tuple[str, ...]
    faces: list[Face] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)
    at_edge: tuple[Face, ...] = ()
    done: dict[int, Done] = field(default_factory=dict)
    revealing: dict[int, Revealing] = field(default_factory=dict)


def _revealing(done: Done, plain: Tensor, keys: tuple[Key, ...], upload: Upload) -> Revealing | None:
    """What a result shows of its face: the image, and where the feature is sent, what that gives back."""
    face = to_grid(plain).permute(1, 2, 0).contiguous().numpy()
    found = check_revealing(done.pixels.permute(1, 2, 0).contiguous().numpy(), face, keys)
    if found is not None or upload != "features":
        return found
    return check_revealing_feature(feature_of(done.pixels, keys[0]).numpy(), face, keys[0])


def _result(item: _Open | Failure, keys: tuple[Key, ...], upload: Upload) -> ProtectedPhoto | Failure:
    if isinstance(item, Failure):
        return item
    faces = tuple(
        ProtectedFace(face=face, inside=share, done=item.done[i], revealing=item.revealing.get(i))
        for i, (face, share) in enumerate(zip(item.faces, item.inside, strict=True))
    )
    kind = ProtectedPhoto if faces else NothingProtected
    return kind(
        name=item.name,
        photo=item.photo,
        exif=item.exif,
        faces=faces,
        at_edge=item.at_edge,
        keys=keys,
        upload=upload,
        notes=item.notes,
    )


class _Stream:
    """Turns photos into faces, and finished faces back into photos."""

    def __init__(
        self, detector: Detector, *, aligned: bool, keep_photo: bool, keep_errors: bool, max_pixels: int
    ) -> None:
        self.detector, self.aligned, self.max_pixels = detector, aligned, max_pixels
        self.keep_photo, self.keep_errors = keep_photo, keep_errors
        self.ready: deque[_Open | Failure] = deque()
        self.owners: dict[int, tuple[_Open, int, Tensor]] = {}

    def faces(self, photos: Iterable[AnyPhoto]) -> Iterator[Tensor]:
        count = 0
        for source in photos:
            name = str(source) if isinstance(source, str | Path) else "photo"
            try:
                photo = read_photo(source, max_pixels=self.max_pixels)
                opened, crops = self._crops(name, photo)
            # onnxruntime's own failures are RuntimeErrors
            except (ValueError, OSError, RuntimeError) as error:
                if not self.keep_errors:
                    raise
                self.ready.append(Failure(name=name, reason=in_words(error)))
                continue
            if not opened.faces:
                if self.keep_errors:
                    # many such photos may wait here until the next face is done: without their pixels
                    opened.photo = None
                self.ready.append(opened)
            for position, crop in enumerate(crops):
                self.owners[count] = (opened, position, crop)
                count += 1
                yield crop

    def _crops(self, name: str, photo: Photo) -> tuple[_Open, Tensor]:
        opened = _Open(name=name, photo=photo if self.keep_photo else None, exif=photo.exif, notes=photo.notes)
        if self.aligned:
            found: Faces = the_aligned(photo.pixels, name=name)
            crops = to_unit(to_tensor(photo.pixels))[None]
        else:
            found = faces_in(photo.pixels, self.detector)
            crops = to_tensor(align_unrounded(photo.pixels, found.points))
        opened.faces, opened.inside, opened.at_edge = [*found.faces], [*found.inside], found.at_edge
        return opened, crops

    def plain(self, index: int) -> Tensor:
        """The face, (3, 112, 112) in [0, 1], that a result was made from."""
        return self.owners[index][2].cpu()

    def finish(self, done: Done, revealing: Revealing | None, *, allowed: bool) -> None:
        opened, position, _ = self.owners.pop(done.index)
        opened.done[position] = done
        if revealing is not None:
            if not (allowed or self.keep_errors):
                raise RevealingKey(revealing)
            opened.revealing[position] = revealing
        if len(opened.done) < len(opened.faces):
            return
        if not opened.revealing:
            self.ready.append(opened)
        elif allowed:
            for found in opened.revealing.values():
                warnings.warn(
                    f"{opened.name}: kept although it shows the face. {found}", RevealingWarning, stacklevel=2
                )
            self.ready.append(opened)
        else:
            # one face that shows is enough: a result is the whole photo
            found = min(opened.revealing.items())[1]
            self.ready.append(Failure(name=opened.name, reason=str(found), revealing=found))
