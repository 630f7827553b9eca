"""What the table of adversaries protects with, whom it protects, and the protected images, made once for a cache.

    python experiments/attacks/protections.py --shared ../shared --cache CACHE --train 1000 robust

Makes the images of one protection, sixteen at a time, and may be stopped and started again. People tested are in LFW's
folds 1 to 5, two photos each; attackers learn from people who are in none of those folds, one photo each.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from protecting import place_of, protected_faces
from setting import lfw_people
from siblings import sibling_of

from facemin import export_key, load_recogniser
from facemin.autograd.pixels import to_grid
from facemin.datasets import LFW
from facemin.experiments.common import landmark_faces, lfw_half, lfw_points, lfw_root, script_parser
from facemin.keys.default import plain_key
from facemin.protection import PROTECTORS, LowFrequencyNoise

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from facemin.keys.key import Key
    from facemin.protection import PMT

TEST, TRAIN, PUBLIC = 48, 64, 1008
CHUNK = 16
SHOT_PEOPLE, SHOTS = 16, 3
"""People whose photo is protected again and again, and how often, the first time included."""
PORTRAYED, PHOTOS = 24, 5
"""People several of whose photos are protected, and how many; one more of each is in the attacker's gallery."""


class Protection(NamedTuple):
    """A method, and a key that it protects for."""

    words: str
    method: PMT
    key: Key
    authorised: str


def published(shared: Path) -> Protection:
    """Algorithm 2 as section 6.2 configures it, at five convolutions; K, the step and the pooling are ours."""
    name = "mobilefacenet-casia-arcface"
    layers = tuple(f"/PRelu{end}_output_0" for end in ("", "_1", "_2", "_3"))
    recogniser = load_recogniser(shared / "models" / f"{name}.onnx")
    key = export_key(recogniser, "/Conv_4_output_0", provider="measurement", residual=0.3, layers=layers)
    method = replace(PROTECTORS["pmt-enhanced"], steps=40, residual=0, pool=14)
    return Protection("PMT as published, five convolutions", method, key, name)


def robust(shared: Path) -> Protection:
    """The default without a secret."""
    del shared
    return Protection("robust, without a secret", PROTECTORS["robust"], plain_key(), "dlib-resnet29")


def low_frequency(shared: Path) -> Protection:
    """The same from low-frequency noise."""
    before = robust(shared)
    method = replace(before.method, start=LowFrequencyNoise())
    return before._replace(words="robust from low-frequency noise, without a secret", method=method)


def retuned(protection: Protection, shared: Path) -> Protection:
    """The same for a provider whose recogniser was fine-tuned from the one that the attacker has."""
    manifest = protection.key.manifest
    *layers, cut = manifest.layers
    key = export_key(
        sibling_of(shared, protection.authorised),
        cut,
        provider="measurement",
        residual=manifest.residual,
        layers=tuple(layers),
    )
    return protection._replace(key=key)


PROTECTIONS: dict[str, Callable[[Path], Protection]] = {
    "pmt": published,
    "robust": robust,
    "low-frequency": low_frequency,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Uploads:
    """Protected images, uint8 (.., 3, 112, 112), of people in a fixed order.

    Attributes:
        test: the first photos of the people tested.
        others: their second photos, as many as were made.
        train: one photo each of the attacker's own people, as many as were made.
        shots: (SHOT_PEOPLE, SHOTS, 3, 112, 112), one photo with several seeds; None where they were not made.
        linked: second photos under the secrets of the first, where there are secrets: `others` have secrets of their
            own then, as at another provider.
        photos: (PORTRAYED, PHOTOS, 3, 112, 112), several photos of a person each; None where they were not made.
        retuned: `test` for a provider whose recogniser was fine-tuned; likewise.
    """

    test: Tensor
    others: Tensor
    train: Tensor
    shots: Tensor | None
    linked: Tensor | None = None
    photos: Tensor | None = None
    retuned: Tensor | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Plain:
    """The same people's plain faces, uint8.

    Attributes:
        test: see `Uploads`, as for the others.
        others: likewise.
        train: likewise.
        public: one photo each of PUBLIC people of no fold, the attacker's own among them.
        photos: of whom there are several, (PORTRAYED, PHOTOS, 3, 112, 112).
        portraits: one more photo of each of them.
    """

    test: Tensor
    others: Tensor
    train: Tensor
    public: Tensor
    photos: Tensor
    portraits: Tensor


def plain(shared: Path, *, train: int = TRAIN) -> Plain:
    """All faces; at least `train` people to learn from, in whole chunks, the first of which are those of fewer."""
    count = -(-train // CHUNK) * CHUNK
    people = lfw_people(shared, test=TEST, train=max(count, PUBLIC), photos=1)
    photos = several_photos(shared)
    return Plain(
        test=people.test,
        others=people.others,
        train=people.train[:count],
        public=people.train[:PUBLIC],
        photos=photos[:, 1:],
        portraits=photos[:, 0],
    )


def several_photos(shared: Path) -> Tensor:
    """Photos of people of folds 1 to 5 who have enough, uint8 (PORTRAYED, 1 + PHOTOS, 3, 112, 112)."""
    tested = {name for pair in lfw_half(shared, "test") for name in (pair.name_a, pair.name_b)}
    marks, found = lfw_points(shared), dict[str, list[str]]()
    for photo in LFW(lfw_root(shared)):
        if photo.identity in tested and photo.path in marks:
            found.setdefault(photo.identity, []).append(photo.path)
    enough = [found[name][: 1 + PHOTOS] for name in sorted(found) if len(found[name]) > PHOTOS][:PORTRAYED]
    return to_grid(landmark_faces(shared, [path for paths in enough for path in paths])).unflatten(0, (-1, 1 + PHOTOS))


def uploads(
    protection: Protection, faces: Plain, cache: Path, *, shared: Path, budget: float = float("inf")
) -> Uploads:
    """Protect the faces, or read what was made of them; those that no time was left for are left out.

    Args:
        protection: method and key.
        faces: of everybody.
        cache: a folder.
        shared: the research folder.
        budget: seconds after which nothing more is made; 0 for what is there.

    Raises:
        ValueError: not even the people tested were made.
    """
    began = time.perf_counter()

    def made(group: Tensor, seed: int, protection: Protection = protection) -> Tensor:
        found = []
        for chunk in torch.split(group, CHUNK):
            over = time.perf_counter() - began > budget
            if over and not place_of(protection.method, protection.key, chunk, seed=seed, cache=cache).is_file():
                break
            found.append(protected_faces(protection.method, protection.key, chunk, seed=seed, cache=cache))
        return torch.cat(found) if found else group[:0]

    test = made(faces.test, 1)
    if len(test) < len(faces.test):
        made_in = f"time for {budget:.0f} s" if budget else "none to make them in"
        raise ValueError(f"{cache}: expected images of {len(faces.test)} people, got {len(test)}, and {made_in}")
    train = made(faces.train, 1)
    others = made(faces.others, 1)
    again = [made(faces.test[:SHOT_PEOPLE], seed) for seed in range(2, 1 + SHOTS)]
    whole = all(len(shot) == SHOT_PEOPLE for shot in again)
    shots = torch.stack([test[:SHOT_PEOPLE], *again], 1) if whole else None
    tuned = made(faces.test, 1, retuned(protection, shared))
    photos = made(faces.photos.flatten(0, 1), 1)
    return Uploads(
        test=test,
        others=others,
        train=train,
        shots=shots,
        photos=photos.unflatten(0, faces.photos.shape[:2])
        if len(photos) == faces.photos[..., 0, 0, 0].numel()
        else None,
        retuned=tuned if len(tuned) == len(test) else None,
    )


def main() -> None:
    """Fill the cache."""
    parser = script_parser(__doc__, cache="folder of the images", train=TRAIN)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("names", nargs="+", choices=list(PROTECTIONS))
    given = parser.parse_args()
    faces = plain(given.shared, train=given.train)
    for name in given.names:
        got = uploads(
            PROTECTIONS[name](given.shared), faces, given.cache, shared=given.shared, budget=60 * given.minutes
        )
        whole = [part is not None for part in (got.shots, got.photos, got.retuned)]
        print(name, len(got.test), len(got.train), len(got.others), *whole, flush=True)


if __name__ == "__main__":
    main()
