"""Forms of adversaries who are not adapted to what they attack: what they compute, and how probes are scored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from facemin.attack import PURIFIERS
from facemin.attack.link.centred import centred_scores
from facemin.attack.link.plain_pairs import POOR
from facemin.attack.purify.band import BANDS
from facemin.attack.purify.chain import CHAINS
from facemin.attack.secret.ridge import fit_ridge
from facemin.autograd.pixels import to_grid, to_unit
from facemin.evaluation.judge import embed_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from protections import Uploads

    from facemin.models import Recogniser

    Rows = NDArray[np.float64]

TEACHER = "mobilefacenet-ms1m-arcface"
"""The strongest of ours: whose embedding of a plain photo is looked for."""
LOOKERS = ("mobilefacenet-ms1m-arcface", "mobilefacenet-vggface2-amsoftmax", "dlib-resnet29")
SOFT = ("none", "blur-1")
"""Purifiers behind which training images are seen too."""
PURIFY = {**{name: PURIFIERS[name] for name in ("none", "blur-1", "blur-2")}, **CHAINS, **BANDS}
SIDE, CHUNK = 16, 48
HEAP = "a heap of protected images"
Looks = dict[tuple[str, str, str], Tensor]
"""Unit rows by group, network and purifier."""


class Form(NamedTuple):
    """One way in which an adversary scores probes, (N, N) against the gallery's people."""

    row: str
    adversary: str
    knows: str
    form: str
    scores: Rows


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """What the attacker computes of images: each network's look at each group, made when it is first asked for."""

    networks: dict[str, Recogniser]
    images: dict[str, Tensor]
    """uint8 (N, 3, 112, 112), by group."""
    kept: Looks = field(default_factory=dict)

    def __call__(self, group: str, network: str, purifier: str = "none") -> Tensor:
        """Unit rows (N, D)."""
        place = (group, network, purifier)
        if place not in self.kept:
            images = PURIFY[purifier](to_unit(self.images[group])).clamp(0, 1)
            self.kept[place] = embed_all(self.networks[network], images)
        return self.kept[place]

    def inputs(self, group: str, names: tuple[str, ...], purifiers: tuple[str, ...] = SOFT) -> Rows:
        """What a ridge map reads: all looks, and thumbnails."""
        looks = [self(group, name, purifier).double().numpy() for name in names for purifier in purifiers]
        small = torch.nn.functional.adaptive_avg_pool2d(to_unit(self.images[group]), SIDE).flatten(1)
        return np.concatenate([*looks, small.double().numpy()], 1)


def all_forms(world: World, made: Uploads, others: tuple[str, ...], authorised: str) -> Iterator[Form]:
    """Forms of adversaries who are not adapted to what they attack, scores (N, N).

    Args:
        world: the images.
        made: which of them are protected.
        others: networks that look, beside the authorised.
        authorised: whose key was used.
    """

    def gallery(network: str) -> Tensor:
        return world("plain others", network)

    def cosines(probes: Tensor, network: str) -> Rows:
        return (probes @ gallery(network).T).double().numpy()

    key = world("test", authorised)
    yield Form("T5b", "the key itself", "the key", authorised, cosines(key, authorised))
    for network in others:
        for purifier in ("none", "blur-1", "blur-2"):
            scores = cosines(world("test", network, purifier), network)
            yield Form("T2", "a recogniser off the shelf", "-", f"{network}, {purifier}", scores)
        for purifier in CHAINS:
            scores = cosines(world("test", network, purifier), network)
            yield Form("T2", "the same behind purifiers in a chain", "-", f"{network}, {purifier}", scores)
        for purifier in SOFT:
            heap, public = world("train", network, purifier), world("plain train", network)
            scores = centred_scores(world("test", network, purifier), gallery(network), heap=heap, public=public)
            yield Form("T5a", "the same, centred", HEAP, f"{network}, {purifier}", scores.numpy())
    taught = world("plain train", TEACHER).double().numpy()[: len(made.train)]
    wanted = gallery(TEACHER).double().numpy()
    inputs = {group: world.inputs(group, others) for group in ("test", "train")}
    for count in sorted({len(taught) // 4, len(taught) // 2, len(taught)}):
        linker = fit_ridge(inputs["train"][:count], taught[:count])
        yield Form(
            "T5a", f"ridge map, {count} pairs", "pairs", f"ridge {linker.ridge:g}", linker(inputs["test"]) @ wanted.T
        )
    both = world.inputs("train", (*others, authorised)), world.inputs("test", (*others, authorised))
    yield Form(
        "T5b",
        f"ridge map with the key, {len(taught)} pairs",
        "pairs, the key",
        "ridge",
        fit_ridge(both[0], taught)(both[1]) @ wanted.T,
    )
    yield from several(world, made, others, inputs["train"], taught, wanted)
    yield from poor(world, inputs["test"], inputs["train"], others, wanted)


def poor(world: World, probes: Rows, heap: Rows, others: tuple[str, ...], wanted: Rows) -> Iterator[Form]:
    """Maps of plain faces that were made poor: nothing protected is learnt from, but at most its mean."""
    everybody = world("plain public", TEACHER).double().numpy()
    adversary, knows = "student of plain faces made poor", f"{len(everybody):,} public faces"
    for kind in POOR:
        group = f"poor {kind}"
        world.images[group] = made_poor(world.images["plain public"], kind)
        linker = fit_ridge(world.inputs(group, others), everybody)
        yield Form("T5a", adversary, knows, kind, linker(probes) @ wanted.T)
        yield Form("T5a", f"{adversary}, centred", f"{knows}, {HEAP}", kind, linker.centred_on(heap)(probes) @ wanted.T)


def made_poor(faces: Tensor, kind: str) -> Tensor:
    """Faces uint8 (N, 3, 112, 112) as `POOR` makes them, uint8."""
    return torch.cat([to_grid(POOR[kind](to_unit(part))) for part in torch.split(faces, CHUNK)])


def several(
    world: World, made: Uploads, others: tuple[str, ...], learnt: Rows, taught: Rows, wanted: Rows
) -> Iterator[Form]:
    """Several images of a person put together, and protected images against one another."""
    linker = fit_ridge(learnt, taught)
    if made.shots is not None:
        people, shots = made.shots.shape[:2]
        world.images["shots"] = made.shots.flatten(0, 1)
        mean = world.inputs("shots", others).reshape(people, shots, -1).mean(1)
        name = f"ridge map, {shots} images of a photo"
        yield Form("T5a", name, "pairs", f"{people} people", linker(mean) @ wanted[:people].T)
    if len(made.others) < len(made.test):
        return
    knows = "protected images of both photos"
    for network in others:
        for purifier in ("none", "blur-2"):
            scores = world("test", network, purifier) @ world("others", network, purifier).T
            yield Form("T5a", "protected against protected", knows, f"{network}, {purifier}", scores.double().numpy())
    if made.linked is not None:
        world.images["linked"] = made.linked
        for network in others:
            scores = world("test", network) @ world("linked", network).T
            name = "two uploads under one secret, which are meant to be linked"
            yield Form("T6", name, knows, network, scores.double().numpy())
    soft = [PURIFIERS["blur-2"](PURIFIERS["blur-2"](to_unit(part))).flatten(1) for part in (made.test, made.others)]
    parts = [part - part.mean(0) for part in soft]
    unit = [part / part.norm(dim=1, keepdim=True) for part in parts]
    yield Form(
        "T5a", "protected against protected", knows, "correlation after a blur", (unit[0] @ unit[1].T).double().numpy()
    )
    second = linker(world.inputs("others", others))
    first = linker(world.inputs("test", others))
    yield Form("T5a", "protected against protected, ridge map", "pairs", "ridge", first @ second.T)
