"""Settings of protecting files into a folder, and the digest that names them in records."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facemin.face import Detector
from facemin.image import MAX_PIXELS
from facemin.protection.carrier.open import check_carried_upload, is_carrier
from facemin.protection.photo import check_upload
from facemin.protection.result import Upload
from facemin.protection.sources import image_groups, open_aimed, open_method, open_secret
from facemin.protection.targets import Identity, check_keys, space_of
from facemin.pseudonym import DEFAULT_SECRET, LOCAL, EnrolledFace, Secret, normalise_origin
from facemin.runtime.compute import DEFAULT_COMPUTE, Compute
from facemin.runtime.seeds import check_seed, fresh_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facemin.keys.key import Key
    from facemin.protection.sources import AnySecret


NAMED_BY_REPR = ("PMT", "FrequencyMask")
"""Methods whose results earlier versions named by their settings' text, which held device, batch and precision too: the
same text names them now, so that what is done stays done. Others are named by what they describe."""


@dataclass(frozen=True, kw_only=True)
class FolderJob:
    """How files are protected into a folder.

    Args:
        out: the folder; made when needed.
        keys: provider keys; at least one.
        method: settings of the protection, or a name, as `protect` takes it.
        secret: see `protect`; one that is not there is made when the first photo is planned.
        purpose: see `protect`.
        origin: see `protect`.
        epoch: see `protect`.
        linkable: see `protect`.
        one_image: see `protect`.
        trust_key: see `protect`.
        seed: see `protect`.
        upload: "image" writes `b.protected.png`; "features" writes `b.protected.safetensors` for a single key.
        paste: also write `b.pasted.png`, the photo with its protected faces.
        exif: keep the photo's EXIF in the PNG files; dropped otherwise, and never kept with a secret.
        aligned: inputs are aligned 112 x 112 faces.
        detector: finds the faces.
        max_pixels: most pixels that a photo may have.
        allow_revealing: see `protect`.
        compute: see `protect`; of it only the precision names results.
    """

    out: Path
    keys: Sequence[Key]
    method: Any = None
    secret: AnySecret = DEFAULT_SECRET
    purpose: str = "main"
    origin: str | tuple[str, ...] = LOCAL
    epoch: int = 0
    linkable: bool = False
    one_image: bool = False
    trust_key: bool = False
    seed: int | None = None
    upload: Upload = "image"
    paste: bool = False
    exif: bool = False
    aligned: bool = False
    detector: Detector = field(default_factory=Detector)
    max_pixels: int = MAX_PIXELS
    allow_revealing: bool = False
    compute: Compute = DEFAULT_COMPUTE

    def __post_init__(self) -> None:
        check_upload(self.keys, self.upload, secret=self.secret)
        if is_carrier(self.method):
            check_carried_upload(secret=self.secret, upload=self.upload)
            if self.paste:
                raise ValueError("paste: expected protected faces, got a carrier, which is a photo itself")
        if self.seed is not None:
            check_seed(self.seed)
        names = [key.manifest.key_id for key in self.keys]
        if len(set(names)) != len(names):
            raise ValueError(f"keys: expected keys of different ids, got {', '.join(names)}")
        if self.secret is None:
            return
        if self.exif:
            raise ValueError("exif: expected none with a secret, since it tells time, place and camera")
        if self.paste and self.upload == "features":
            raise ValueError("paste: expected images, got features under a pseudonym, which have none")
        check_keys(self.keys, linkable=self.linkable, one_image=self.one_image, trust_key=self.trust_key)

    @cached_property
    def settings(self) -> Any:
        """The method's settings; None where it is not used, since the target itself is sent.

        Raises:
            ValueError: as `open_method`.
        """
        if self.secret is None:
            return open_method(self.method, self.keys)
        if self.upload == "features":
            return None
        return open_aimed(self.method, image_groups(self.keys, one_image=self.one_image))

    @cached_property
    def opened_secret(self) -> tuple[Secret | None, bool]:
        """The secret itself, and whether it was made for this job.

        Raises:
            ValueError: as `open_secret`.
        """
        secret, _, made = open_secret(self.secret)
        return secret, made

    @cached_property
    def digest(self) -> str:
        """Names these settings: a result made under other ones is made anew.

        The seed does not count, nor what changes no result: the batch, the device and the largest photo. Of a secret
        its fingerprint does.
        """
        # threads change no result either, and workers have one each
        detector = replace(self.detector, threads=0)
        settings: list[object] = [self._method, detector, self.upload, self.paste, self.exif, self.aligned]
        # only where it was asked for, so that older records stay valid
        settings += ["allow_revealing"] if self.allow_revealing else []
        if self.secret is not None:
            secret, _ = self.opened_secret
            assert secret is not None
            origins = Identity(secret=secret, origin=self.origin).origins(len(self.keys))
            settings += ["pseudonym", secret.fingerprint, self.purpose, [*map(normalise_origin, origins)], self.epoch]
            settings += ["one image"] if self.one_image else []
        text = "\n".join([*map(repr, settings), *(key.fingerprint for key in self.keys)])
        return hashlib.sha256(text.encode()).hexdigest()

    def in_workers(self) -> FolderJob:
        """These settings for several processes: without what was opened for them, on one thread, with one seed."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        apart = {
            "keys": [*map(replace, self.keys)],
            "detector": replace(self.detector, threads=1),
            "seed": fresh_seed() if self.seed is None else self.seed,
        }
        return FolderJob(**values | apart)

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: the settings, none of what was opened for them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def person_is_known(self) -> bool:
        """Whether the secret has its face in every space of the keys; the first photo's becomes it where it has not."""
        secret, _ = self.opened_secret
        if secret is None:
            return True
        return {space_of(key).id for key in self.keys} <= EnrolledFace(secret=secret).spaces()

    @property
    def _method(self) -> object:
        """What decides the method's results."""
        if self.settings is None:
            return None
        if type(self.settings).__name__ in NAMED_BY_REPR:
            precision = self.compute.precision
            return _Verbatim(f"{repr(self.settings)[:-1]}, batch=1, device='cpu', precision={precision!r})")
        return self.settings.describe()


class _Verbatim(str):
    """Text that stands for itself in a digest."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
