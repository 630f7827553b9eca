"""What reconstructions of Table VI start from: protected images of the people tested, and a key's features of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from painting import Studio, turned
from protecting import protected_faces
from setting import Likeness, load_named

from facemin import export_key, load_recogniser
from facemin.attack.features import features_of
from facemin.autograd.pixels import to_unit
from facemin.keys.default import default_key, plain_key
from facemin.models import SPACE_MODEL
from facemin.protection import PROTECTORS
from facemin.pseudonym import haar

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from setting import People
    from torch import Tensor

    from facemin.attack import Budget
    from facemin.attack.contract import OwnProtector
    from facemin.keys.key import Key
    from facemin.protection import PMT


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A protection whose images are attacked.

    Attributes:
        row: what the table calls it.
        key: the provider's, which attackers hold.
        images: of the people tested, as sent, (N, 3, 112, 112) in [0, 1].
        features: at the key's cut, (N, *shape), by the table's row: of plain faces, for a control, and of the images.
        protect: what attackers make of faces of their own.
        authorised: likeness as the key's own recogniser sees it; None where the table's column is that recogniser's.
        method: settings, for records.
    """

    row: str
    key: Key
    images: Tensor
    features: Mapping[str, Tensor]
    protect: OwnProtector
    authorised: Likeness | None = None
    method: Mapping[str, Any]


def published(people: People, given: argparse.Namespace) -> Subject:
    """PMT as configured, at the cut that stands for the paper's, beside noise of the same amplitude.

    The default's method at this key stands beside it too: what differs at the default's own key is the key's depth.
    """
    recogniser = load_recogniser(load_named(given.shared, given.recogniser))
    key = export_key(recogniser, given.cut, layers=tuple(given.layers), provider="measurement", residual=given.residual)
    residual = None if given.stop_at_residual else 0.0
    method = replace(PROTECTORS[given.method], steps=given.steps, pool=given.pool or None, residual=residual)
    images, protect = _by_gradients(method, key, people, given)
    other, _ = _by_gradients(PROTECTORS["robust"], key, people, given)
    plain, kept, ours = _features(key, to_unit(people.test), images, other)
    noisy = plain + shuffled(kept - plain, given.seed)
    return Subject(
        row="PMT",
        key=key,
        images=images,
        features={"unprotected": plain, "random noise": noisy, "PMT": kept, "robust, at the paper's key": ours},
        protect=protect,
        method=asdict(method),
    )


def robust(people: People, given: argparse.Namespace) -> Subject:
    """The default without a secret, and its key."""
    key, method = plain_key(), PROTECTORS["robust"]
    images, protect = _by_gradients(method, key, people, given)
    plain, kept = _features(key, to_unit(people.test), images)
    return Subject(
        row="robust, without a secret",
        key=key,
        images=images,
        features={"unprotected, the default's key": plain, "robust, without a secret": kept},
        protect=protect,
        authorised=Likeness.of(people, load_recogniser(key.manifest.recogniser)),
        method=asdict(method),
    )


def pseudonym(people: People, given: argparse.Namespace) -> Subject:
    """Pseudonyms painted in one pass under a secret a person, and what whoever steals the secrets makes of them."""
    key, studio = default_key(), Studio.shipped(given.seed)
    secrets = studio.secrets(len(people.test))
    images = to_unit(studio.paint(turned(studio.places(people.test), secrets)))
    plain, kept = _features(key, to_unit(people.test), images)
    back = [haar(secret, kept.shape[1]).T @ row.double().numpy() for secret, row in zip(secrets, kept, strict=True)]

    own = Studio.shipped(given.seed + 1)

    def protect(faces: Tensor, budget: Budget) -> tuple[Tensor, Tensor]:
        del budget
        targets = turned(own.places(faces), own.secrets(len(faces)))
        return own.paint(targets), torch.arange(len(faces))

    return Subject(
        row="pseudonym",
        key=key,
        images=images,
        features={
            "unprotected, the pseudonyms' key": plain,
            "pseudonym": kept,
            "pseudonym, its secret stolen": torch.from_numpy(np.stack(back)).float(),
        },
        protect=protect,
        authorised=Likeness.of(people, load_recogniser(SPACE_MODEL)),
        method={"one pass": asdict(studio.painter.settings)},
    )


SUBJECTS: dict[str, Callable[[People, argparse.Namespace], Subject]] = {
    "pmt": published,
    "robust": robust,
    "pseudonym": pseudonym,
}
"""How each protection is made ready, by name."""


def shuffled(change: Tensor, seed: int) -> Tensor:
    """Each face's change of features (N, *shape) in a random order: noise of exactly the same amplitude."""
    rows = []
    for number, row in enumerate(change):
        order = np.random.default_rng([seed, number]).permutation(row.numel())
        rows.append(row.flatten()[torch.from_numpy(order)].view_as(row))
    return torch.stack(rows)


def _by_gradients(method: PMT, key: Key, people: People, given: argparse.Namespace) -> tuple[Tensor, OwnProtector]:
    """Images of the people tested, and the protection as attackers run it."""
    make = partial(protected_faces, method, key, cache=given.cache)

    def protect(faces: Tensor, budget: Budget) -> tuple[Tensor, Tensor]:
        del budget
        # an attacker's own seed: nobody knows those of the people attacked
        return make(faces, seed=given.seed + 1), torch.arange(len(faces))

    return to_unit(make(people.test, seed=given.seed)), protect


def _features(key: Key, *images: Tensor) -> tuple[Tensor, ...]:
    return tuple(features_of(key, part)[-1] for part in images)
