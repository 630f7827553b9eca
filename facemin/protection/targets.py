"""Targets of pseudonymous protection: from aligned faces to rotated embeddings, with what a device checks before.

Of a face nothing but its target goes on: what is made from the target cannot tell more of the face than it does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from facemin.keys.trust import CONSENT, TrustLog
from facemin.protection.revealing.by_digest import key_runner
from facemin.protection.same_person import same_person_threshold
from facemin.pseudonym import LOCAL, CaptureLog, CaptureReused, Context, EnrolledFace, OtherPerson, Pseudonym, Secret
from facemin.runtime.errors import NoSpace, UntrustedKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from facemin.image import Pixels
    from facemin.keys.key import Key
    from facemin.models.space import Space


LINKABLE = (
    "the same photo under pseudonyms for several providers tells them, if they compare, that these are one person"
)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Under which pseudonym a person appears, and what they agreed to.

    Args:
        secret: the person's.
        others: their other secrets, whose captures are not sent again either.
        purpose: the collection, or another purpose.
        origin: the recipient's, or one for each key; `LOCAL` for key files that nobody is known to have given out.
        epoch: raised by renewal.
        linkable: send one photo under several pseudonyms.
        once: refuse what was made under this very pseudonym before, too; for whatever is sent at once. What goes to
            files may be made again, so that a folder can be finished.
    """

    secret: Secret
    others: tuple[Secret, ...] = field(default=(), repr=False)
    purpose: str = "main"
    origin: str | tuple[str, ...] = LOCAL
    epoch: int = 0
    linkable: bool = False
    once: bool = False

    def origins(self, count: int) -> tuple[str, ...]:
        """One origin a key.

        Raises:
            ValueError: neither one for all nor one for each.
        """
        given = (self.origin,) * count if isinstance(self.origin, str) else tuple(self.origin)
        if len(given) != count:
            raise ValueError(f"origin: expected one for all keys, or {count}, one a key; got {len(given)}")
        return given

    def pseudonyms(self, keys: Sequence[Key]) -> tuple[Pseudonym, ...]:
        """One pseudonym a key.

        Raises:
            NoSpace: a key has no space.
            ValueError: a purpose, an origin or an epoch that is none.
        """
        return tuple(
            Pseudonym(
                secret=self.secret,
                context=Context(
                    origin=origin,
                    signer=key.signer or b"",
                    space=(space := space_of(key)).id,
                    dimension=space.dimension,
                    purpose=self.purpose,
                    epoch=self.epoch,
                ),
            )
            for key, origin in zip(keys, self.origins(len(keys)), strict=True)
        )


def space_of(key: Key) -> Space:
    """A key's space.

    Raises:
        NoSpace: it has none.
    """
    space = key.space
    if space is None:
        raise NoSpace(
            f"key {key.manifest.key_id}: expected a key that ends in a space, which pseudonyms need, got one without: "
            f"ask {key.manifest.provider} for a key with a space; without a pseudonym (--no-pseudonym, secret=None) "
            "everybody who has the key, or a network like it, recognises the person"
        )
    return space


def check_keys(keys: Sequence[Key], *, linkable: bool, one_image: bool, trust_key: bool) -> None:
    """Refuse keys that pseudonyms are not made for.

    Args:
        keys: each for a provider.
        linkable: whether the person asked for several pseudonyms of one photo.
        one_image: whether they share an image.
        trust_key: whether the person trusts networks that are not on the list; that is noted for later.

    Raises:
        NoSpace: a key has no space.
        UntrustedKey: its network is not on the list, and no consent was given.
        ValueError: several keys without `linkable`, or two of one id.
    """
    spaces = [space_of(key) for key in keys]
    names = [key.manifest.key_id for key in keys]
    if len(set(names)) != len(names):
        raise ValueError(f"keys: expected keys of different ids, got {', '.join(names)}")
    if len(keys) > 1 and not linkable:
        raise ValueError(
            f"keys: expected one, got {len(keys)}: {LINKABLE}; take another photo for each, or ask for it (--linkable, "
            "linkable=True)"
        )
    if one_image and len(keys) < 2:
        raise ValueError(f"one image: expected several keys, got {len(keys)}")
    log = TrustLog()
    for key, space in zip(keys, spaces, strict=True):
        if log.find(space.graph_sha256) is not None:
            continue
        if not trust_key:
            raise UntrustedKey(
                f"key {key.manifest.key_id}: expected a network on the list of trusted ones, got another "
                f"({space.graph_sha256[:16]}): {CONSENT}. If you trust {key.manifest.provider}, say so (--trust-key, "
                "trust_key=True)"
            )
        log.trust(space.graph_sha256, name=space.name, reason=f"the person's consent, told that {CONSENT}")


class TargetMaker:
    """Makes the targets of photos: whose face, under which pseudonyms, and whether it may be sent.

    Args:
        identity: under which pseudonyms.
        keys: for whose holders, as `check_keys` lets pass.
        carried: make `PseudonymTarget`s, as carriers take them, in place of the rotated embeddings alone.
    """

    def __init__(self, identity: Identity, keys: Sequence[Key], *, carried: bool = False) -> None:
        self.identity, self.keys, self.carried = identity, tuple(keys), carried
        self.pseudonyms = identity.pseudonyms(keys)
        self._spaces = {space.id: space for space in map(space_of, keys)}
        self._runners = {key.manifest.sha256: key_runner(key) for key in keys}
        self._enrolled = EnrolledFace(secret=identity.secret)
        self._captures = CaptureLog(secret=identity.secret, others=identity.others)

    def __call__(self, faces: Pixels) -> tuple[int, list[Any]]:
        """The targets of the largest face that is the person's.

        The first face under a secret is taken for the person's, and remembered; none is sent under two pseudonyms.

        Args:
            faces: of one photo, the largest first, aligned, uint8 RGB (N, 112, 112, 3), N >= 1.

        Returns:
            Its place, and its targets, one a key.

        Raises:
            OtherPerson: none is the person's.
            CaptureReused: it was sent under another pseudonym, or (with `once`) under this one.
            ValueError: a damaged file of the person's, or a network without finite features.
            OSError: such a file cannot be read or written.
        """
        rows = {name: space.embed(self._runners[space.graph_sha256], faces) for name, space in self._spaces.items()}
        place, unknown = self._person(rows, len(faces))
        self._claim(faces[place])
        for name in unknown:
            self._enrolled.remember(
                rows[name][place][None],
                space=name,
                purpose=self.identity.purpose,
                threshold=same_person_threshold(self._spaces[name]),
            )
        return place, [self._target(each, rows[each.context.space][place]) for each in self.pseudonyms]

    def _target(self, pseudonym: Pseudonym, row: NDArray[np.float64]) -> Any:
        if not self.carried:
            return pseudonym.targets(row[None])[0]
        from facemin.protection.carrier.target import PseudonymTarget

        owner = self._enrolled.face(space=pseudonym.context.space, purpose=self.identity.purpose)
        return PseudonymTarget(pseudonym=pseudonym, embedding=row, owner=None if owner is None else owner[None])

    def _person(self, rows: dict[bytes, NDArray[np.float64]], count: int) -> tuple[int, list[bytes]]:
        """The largest face that every space takes for the person's, and the spaces where nobody is known yet."""
        refusal: OtherPerson | None = None
        for place in range(count):
            unknown = []
            try:
                for name, embedded in rows.items():
                    threshold = same_person_threshold(self._spaces[name])
                    if self._enrolled.check_same_person(embedded[place], space=name, threshold=threshold) is None:
                        unknown.append(name)
            except OtherPerson as error:
                refusal = refusal or error
                continue
            return place, unknown
        assert refusal is not None
        raise refusal

    def _claim(self, face: Pixels) -> None:
        for pseudonym in self.pseudonyms:
            try:
                self._captures.claim(face, pseudonym.fingerprint, linkable=self.identity.linkable)
            except CaptureReused as error:
                if not error.same or self.identity.once:
                    raise
