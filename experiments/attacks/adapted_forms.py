"""Forms of adversaries who know more: in which bands noise is, a sibling of the network, several photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adversary_forms import HEAP, SOFT, TEACHER, Form
from torch.nn import functional as F

from facemin.attack.link.centred import centred_scores
from facemin.attack.purify.band import BANDS
from facemin.attack.secret.ridge import fit_ridge
from facemin.autograd.pixels import to_unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from adversary_forms import World
    from numpy.typing import NDArray
    from protections import Uploads
    from torch import Tensor

    Rows = NDArray[np.float64]

SIBLING = "sibling"
"""Name of the fine-tuned network in a `World`."""


def banded(world: World, made: Uploads, others: tuple[str, ...]) -> Iterator[Form]:
    """Recognisers, a ridge map and protected images against one another, all behind band-pass filters.

    Args:
        world: the images.
        made: which of them are protected.
        others: networks that look.
    """
    for network in others:
        for band in BANDS:
            seen = {group: world(group, network, band) for group in ("test", "train", "plain others", "plain train")}
            form = f"{network}, {band}"
            scores = (seen["test"] @ seen["plain others"].T).double().numpy()
            yield Form("T2", "a recogniser behind a band-pass", "-", form, scores)
            scores = centred_scores(
                seen["test"], seen["plain others"], heap=seen["train"], public=seen["plain train"]
            ).numpy()
            yield Form("T5a", "the same behind a band-pass, centred", HEAP, form, scores)
    taught, wanted = (world(group, TEACHER).double().numpy() for group in ("plain train", "plain others"))
    for name, purifiers in (("bands", tuple(BANDS)), ("bands and all of it", (*SOFT, *BANDS))):
        linker = fit_ridge(world.inputs("train", others, purifiers), taught[: len(made.train)])
        scores = linker(world.inputs("test", others, purifiers)) @ wanted.T
        yield Form("T5a", f"ridge map of bands, {len(made.train)} pairs", "pairs", name, scores)
    if len(made.others) == len(made.test):
        yield from banded_against_banded(world, others)


def banded_against_banded(world: World, others: tuple[str, ...]) -> Iterator[Form]:
    """Two protected photos of a person, each behind the same band-pass, the mean of others' taken away."""
    adversary, knows = "protected against protected behind a band-pass", f"protected images of both photos, {HEAP}"
    for band in BANDS:
        for network in others:
            heap = world("train", network, band)
            first, second = (world(group, network, band) for group in ("test", "others"))
            scores = centred_scores(first, second, heap=heap, public=heap).numpy()
            yield Form("T5a", adversary, knows, f"{network}, {band}", scores)
        first, second, heap = (
            BANDS[band](to_unit(world.images[group])).flatten(1) for group in ("test", "others", "train")
        )
        scores = centred_scores(first, second, heap=heap, public=heap).numpy()
        yield Form("T5a", adversary, knows, f"correlation, {band}", scores)


def several_photos(world: World, made: Uploads, others: tuple[str, ...]) -> Iterator[Form]:
    """Several photos of a person put together, each protected on its own; `world` has them as "photos"."""
    assert made.photos is not None
    people, photos = made.photos.shape[:2]
    end, form = f"{photos} photos of a person", f"{people} people"
    taught = world("plain train", TEACHER).double().numpy()[: len(made.train)]
    linker = fit_ridge(world.inputs("train", others), taught)
    mean = world.inputs("photos", others).reshape(people, photos, -1).mean(1)
    scores = linker(mean) @ world("plain portraits", TEACHER).double().numpy().T
    yield Form("T5a", f"ridge map, {end}", "pairs", form, scores)
    for network in others:
        heap, public = world("train", network), world("plain train", network)
        each = F.normalize(world("photos", network).double() - heap.double().mean(0))
        mean = each.unflatten(0, (people, photos)).mean(1)
        portraits = F.normalize(world("plain portraits", network).double() - public.double().mean(0))
        scores = (F.normalize(mean) @ portraits.T).numpy()
        yield Form("T5a", f"a recogniser, centred, {end}", HEAP, f"{network}, {form}", scores)


def siblings(world: World, made: Uploads, original: str) -> Iterator[Form]:
    """A sibling in the attacker's hands, and in the provider's.

    Args:
        world: its networks have `SIBLING` beside the original, its images "retuned" where they were made.
        made: which of them are protected.
        original: what the sibling was fine-tuned from, whose key was used.
    """
    name = "a sibling of the key's network"
    yield from both_ways(world, "test", SIBLING, name)
    if made.retuned is not None:
        yield from both_ways(world, "retuned", original, "the original, where the provider has its sibling")


def both_ways(world: World, probes: str, network: str, adversary: str) -> Iterator[Form]:
    """A network's cosines as they are, and with the means of plain faces and of protected images taken away."""
    gallery: Tensor = world("plain others", network)
    scores = (world(probes, network) @ gallery.T).double().numpy()
    yield Form("T5b", adversary, "a network like the provider's", "as it is", scores)
    heap, public = world("train", network), world("plain train", network)
    scores = centred_scores(world(probes, network), gallery, heap=heap, public=public).numpy()
    yield Form("T5b", adversary, "a network like the provider's", "centred", scores)
