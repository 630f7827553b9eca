"""Resemblance of a protected image to its plain face: correlation, mutual information, histogram and PSNR.

Each measure is compared with a limit in `LIMITS`, which `experiments/keys/revealing.py` holds to honest and hostile
keys. What any face has in common is taken out first, so that only likeness in excess of the mean face's counts.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIDE, HALF, QUARTER = 112, 56, 28
Planes = NDArray[np.float32]
"""(N, H, W)."""
Pixels = NDArray[np.uint8]
"""(112, 112, 3), RGB."""

LIMITS: dict[str, float] = {
    "correlation at 112 px": 0.12,
    "correlation at 56 px": 0.25,
    "correlation at 56 px, detail": 0.20,
    "correlation at 28 px": 0.29,
    "correlation at 28 px, detail": 0.32,
    "correlation at 14 px": 0.44,
    "correlation after a median, 56 px": 0.26,
    "correlation after a median, 28 px": 0.34,
    "correlation after rearranging, 56 px": 0.30,
    "correlation after rearranging, 28 px": 0.44,
    "correlation in a window": 0.33,
    "template match": 1.0,
    "mutual information, nats": 0.11,
    "histogram": 0.92,
    "PSNR above the mean face's, dB": 3.0,
}
"""Least value of each measure that shows the face: about twice the highest of strangers' faces."""

TEMPLATES: dict[int, float] = {48: 0.40, 42: 0.42, 36: 0.45, 32: 0.48, 28: 0.50, 24: 0.54, 20: 0.60, 17: 0.68, 14: 0.76}
"""Sides, on the image of 56 x 56, at which the whole face is looked for anywhere in it, and the least correlation that
counts: a small one matches noise better."""

WINDOW, STRIDE = 28, 14
"""Of the windows on the image of 56 x 56."""
REARRANGED = (2, 4, 7, 8, 14, 16, 28, 56)
"""Tilings that are undone: so many pieces a side; 56 is the inverse of 2, and so on."""
LOW_BITS = (4, 16, 64)
BINS = 12
PSNR_AT_LEAST = 16.0
EXCESS = 0.18
"""By which a template must match better than the mean face's."""
STRANGER = 1.5
"""Times the information that an image has on a stranger is none on the person."""
DEVIATIONS = 4.5
SAME = 1e-3
LEAST_FACE, LEAST_IMAGE = 0.05, 0.3
"""Least share of a face, and of an image, that has to be left without the mean face to be compared whole."""
FLAT = 0.5
"""Standard deviation, grey levels, below which a plane shows nothing."""


class Likeness(NamedTuple):
    """How strongly one measure found the face."""

    measure: str
    value: float
    limit: float

    @property
    def share(self) -> float:
        """Of its limit; 1 and more shows the face."""
        return self.value / self.limit


@cache
def mean_face() -> Pixels:
    """The mean of some thousand aligned faces, (112, 112, 3), without detail below 4 px."""
    with resources.files("facemin.protection").joinpath("mean_face.npy").open("rb") as file:
        small = np.load(file, allow_pickle=False)
    return np.asarray(small.repeat(4, 0).repeat(4, 1), np.uint8)


def likenesses(pixels: Pixels, face: Pixels) -> list[Likeness]:
    """Every measure of how much of a face an image shows, the strongest first.

    Args:
        pixels: the protected image, uint8 (112, 112, 3).
        face: the plain face, likewise.

    Raises:
        ValueError: another shape or type.
    """
    for name, image in (("pixels", pixels), ("face", face)):
        if image.shape != (SIDE, SIDE, 3) or image.dtype != np.uint8:
            raise ValueError(f"{name}: expected uint8 (112, 112, 3), got {image.dtype} {image.shape}")
    shown, plain = _planes(pixels), _planes(face)
    found = {
        "template match": _templates(shown[:4], plain[3]),
        "mutual information, nats": _information(shown[:4], plain[3]),
        "histogram": _histogram(pixels, face),
        "PSNR above the mean face's, dB": _psnr_excess(pixels, face),
    }
    each = [Likeness(name, value, LIMITS[name]) for name, value in found.items()]
    correlations = {**_correlations(shown, pixels, plain[3:]), "correlation in a window": _windows(shown[:4], plain[3])}
    each += [Likeness(name, *pair) for name, pair in correlations.items()]
    return sorted(each, key=lambda likeness: -likeness.share)


def _planes(pixels: Pixels) -> Planes:
    """Red, green, blue, luminance, red less green, yellow less blue: (6, 112, 112)."""
    red, green, blue = np.moveaxis(pixels.astype(np.float32), -1, 0)
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([red, green, blue, luminance, red - green, (red + green) / 2 - blue])


def _shrunk(planes: Planes, side: int) -> Planes:
    """Box averages."""
    count = planes.shape[-1] // side
    small: Planes = planes.reshape(*planes.shape[:-2], side, count, side, count).mean((-3, -1))
    return small


def _turned(planes: Planes) -> Planes:
    """The eight turned and mirrored forms of planes (..., H, H), stacked in front."""
    return np.stack([np.rot90(each, turns, (-2, -1)) for each in (planes, planes[..., ::-1]) for turns in range(4)])


def _unit(planes: Planes) -> Planes:
    """Rows (..., H W) without their mean, of length 1; 0 for flat ones."""
    rows = planes.reshape(*planes.shape[:-2], -1)
    rows = rows - rows.mean(-1, keepdims=True)
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.where(length > FLAT * np.sqrt(rows.shape[-1]), rows / np.maximum(length, 1e-6), 0)


def _bands(planes: Planes) -> dict[str, Planes]:
    half, quarter, eighth = (_shrunk(planes, side) for side in (HALF, QUARTER, QUARTER // 2))
    return {
        "112 px": planes - half.repeat(2, -2).repeat(2, -1),
        "56 px": half,
        "56 px, detail": half - quarter.repeat(2, -2).repeat(2, -1),
        "28 px": quarter,
        "28 px, detail": quarter - eighth.repeat(2, -2).repeat(2, -1),
        "14 px": eighth,
    }


@cache
def _mean_bands() -> dict[str, Planes]:
    """An orthonormal basis of the turned mean face, by band, in luminance, colour and even light, (29, N)."""
    return {name: _basis(_turned(band)) for name, band in _bands(_planes(mean_face())[3:]).items()}


def _basis(planes: Planes) -> Planes:
    ramp = np.broadcast_to(np.linspace(-1, 1, planes.shape[-1], dtype=np.float32), planes.shape[-2:])
    # light from one side is nobody's
    light = 64 * np.stack([ramp, ramp.T, ramp * ramp, ramp.T * ramp.T, ramp * ramp.T])
    forms = np.concatenate([planes.reshape(-1, *planes.shape[-2:]), light])
    left, strengths, right = np.linalg.svd(_unit(forms), full_matrices=False)
    del left
    return np.asarray(right * (strengths > SAME * strengths[0])[:, None], np.float32)


def _rest(rows: Planes, mean: Planes, least: float) -> Planes:
    """Rows (..., N) without what lies in the mean face's span; shorter than `least` they are not made unit length."""
    rest = rows - (rows @ mean.T) @ mean
    return np.asarray(rest / np.maximum(np.linalg.norm(rest, axis=-1, keepdims=True), least), np.float32)


def _spectrum(rows: Planes) -> Planes:
    """Shares of power by frequency, (..., F)."""
    side = int(np.sqrt(rows.shape[-1]))
    power = np.abs(np.fft.fft2(rows.reshape(*rows.shape[:-1], side, side)).reshape(rows.shape)) ** 2
    return np.asarray(power / np.maximum(power.sum(-1, keepdims=True), 1e-9), np.float32)


def _partial(shown: Planes, plain: Planes, mean: Planes, limit: float) -> tuple[float, float]:
    """The strongest correlation, either sign, of images (P, N) with turned faces (8, C, N), the mean face held fixed.

    Two smooth pictures correlate by chance, as faces of two people do. The correlation of fields that have these
    spectra and nothing in common has the variance sum_k |P_k|^2 |X_k|^2 for spectra of sum 1, so no correlation
    below `DEVIATIONS` such deviations counts.

    Returns:
        The correlation and the limit that applies to it, where their ratio is largest.
    """
    rest = _rest(plain, mean, LEAST_FACE).reshape(-1, plain.shape[-1])
    shown = _rest(shown, mean, LEAST_IMAGE)
    across = np.abs(shown @ rest.T)
    chance = DEVIATIONS * np.sqrt(_spectrum(shown) @ _spectrum(rest).T)
    limits = np.maximum(limit, chance)
    best = np.unravel_index(np.argmax(across / limits), across.shape)
    return float(across[best]), float(limits[best])


def _correlations(shown: Planes, pixels: Pixels, plain: Planes) -> dict[str, tuple[float, float]]:
    found = {}
    mean = _mean_bands()
    faces = {name: _unit(_turned(band)) for name, band in _bands(plain).items()}
    for band, planes in _bands(shown).items():
        name = f"correlation at {band}"
        found[name] = _partial(_unit(planes), faces[band], mean[band], LIMITS[name])
    views = {"a median": _median(shown[3:4]), "rearranging": _rearrangements(shown[:4], pixels)}
    for view, planes in views.items():
        half = _shrunk(planes, HALF)
        for band, small in (("56 px", half), ("28 px", _shrunk(half, QUARTER))):
            name = f"correlation after {view}, {band}"
            found[name] = _partial(_unit(small), faces[band], mean[band], LIMITS[name])
    return found


def _median(planes: Planes) -> Planes:
    """Of 3 x 3."""
    wide = np.pad(planes, ((0, 0), (1, 1), (1, 1)), mode="edge")
    around = np.stack([wide[:, i : i + SIDE, j : j + SIDE] for i in range(3) for j in range(3)])
    return np.asarray(np.partition(around, 4, axis=0)[4], np.float32)


def _rearrangements(shown: Planes, pixels: Pixels) -> Planes:
    """Where a simple rearrangement of pixels, signs or bits may have put the face, (N, 112, 112)."""
    views = []
    for pieces in REARRANGED:
        tiles = shown.reshape(-1, pieces, SIDE // pieces, pieces, SIDE // pieces)
        views.append(tiles.transpose(0, 2, 1, 4, 3).reshape(-1, SIDE, SIDE))
    centred = shown - shown.mean((1, 2), keepdims=True)
    signs = np.where(np.arange(SIDE) % 2, np.float32(1), np.float32(-1))
    views += [centred * signs[:, None] * signs, centred * signs[:, None], centred * signs]
    views += [np.moveaxis(pixels % low, -1, 0).astype(np.float32) * (256 // low) for low in LOW_BITS]
    by_plane = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    views.append(np.moveaxis(by_plane.reshape(SIDE, SIDE, 3), -1, 0).astype(np.float32))
    views.append(np.ascontiguousarray(pixels).reshape(3, SIDE, SIDE).astype(np.float32))
    return np.concatenate(views)


def _windows(shown: Planes, plain: Planes) -> tuple[float, float]:
    """The strongest correlation within windows of half the side."""
    name = "correlation in a window"
    places = [(i, j) for i in range(0, HALF - WINDOW + 1, STRIDE) for j in range(0, HALF - WINDOW + 1, STRIDE)]
    shown, faces = _shrunk(shown, HALF), _turned(_shrunk(plain, HALF))
    found = []
    for (i, j), basis in zip(places, _mean_windows(), strict=True):
        here = np.s_[..., i : i + WINDOW, j : j + WINDOW]
        found.append(_partial(_unit(shown[here]), _unit(faces[here])[:, None], basis, LIMITS[name]))
    return max(found, key=lambda pair: pair[0] / pair[1])


@cache
def _mean_windows() -> list[Planes]:
    means = _turned(_shrunk(_planes(mean_face())[3:], HALF))
    starts = range(0, HALF - WINDOW + 1, STRIDE)
    return [_basis(means[..., i : i + WINDOW, j : j + WINDOW]) for i in starts for j in starts]


def _templates(shown: Planes, plain: Planes) -> float:
    """The best match of the whole face, at any place and several sizes, as a share of the size's limit."""
    small = _shrunk(shown, HALF)
    small = small - small.mean((1, 2), keepdims=True)
    spectra = np.fft.rfft2(small), np.fft.rfft2(small**2)
    worst = 0.0
    for side, limit in TEMPLATES.items():
        match = _match(spectra, plain, side)
        # an average face at that place is no likeness of this one
        if match >= limit and match < _match(spectra, _planes(mean_face())[3], side) + EXCESS:
            continue
        worst = max(worst, match / limit)
    return worst


def _match(spectra: tuple[NDArray[np.complexfloating], NDArray[np.complexfloating]], plain: Planes, side: int) -> float:
    template = _resized(plain, side)
    template = _turned(template - template.mean()) / max(float(np.linalg.norm(template - template.mean())), FLAT * side)
    end = HALF - side + 1
    box = np.conj(np.fft.rfft2(np.ones((side, side), np.float32), (HALF, HALF)))
    sums, squares = (np.fft.irfft2(spectrum * box, (HALF, HALF))[:, :end, :end] for spectrum in spectra)
    spread = np.sqrt(np.maximum(squares - sums**2 / side**2, (2 * side) ** 2))
    products = spectra[0][:, None] * np.conj(np.fft.rfft2(template, (HALF, HALF)))
    return float(np.abs(np.fft.irfft2(products, (HALF, HALF))[..., :end, :end] / spread[:, None]).max())


def _resized(plain: Planes, side: int) -> Planes:
    """The face (112, 112) at another side, each pixel the mean of the area it covers."""
    edges = np.linspace(0, SIDE, side + 1)
    lower = np.arange(SIDE)
    overlap = np.minimum(edges[1:, None], lower + 1) - np.maximum(edges[:-1, None], lower)
    weights = (np.maximum(overlap, 0) * side / SIDE).astype(np.float32)
    return np.asarray(weights @ plain @ weights.T, np.float32)


def _information(shown: Planes, plain: Planes) -> float:
    """Mutual information of the image's and the face's pixels in excess of the mean face's and a stranger's, in nats.

    It finds what no correlation does: a face whose pixels were each mapped by any function, also by one that takes
    two greys to one. The face's own turned forms stand for the stranger: equally smooth, and elsewhere.
    """
    mean = _planes(mean_face())[3]
    worst = 0.0
    for side in (SIDE, HALF):
        images = [_binned(plane) for plane in _shrunk(shown, side)]
        faces, means = ([_binned(each) for each in _turned(_shrunk(plane, side))] for plane in (plain, mean))
        for image in images:
            own = [_shared(image, face) for face in faces]
            common = max(float(np.median(own)), *(_shared(image, average) for average in means))
            worst = max(worst, max(own) - STRANGER * max(0.0, common))
    return worst


def _binned(plane: Planes) -> NDArray[np.intp]:
    """Pixels' bins of about equal count."""
    levels = plane.clip(0, 255).astype(np.uint8).ravel()
    below = np.cumsum(np.bincount(levels, minlength=256)) - 1
    return np.asarray((below * BINS // levels.size)[levels], np.intp)


def _shared(a: NDArray[np.intp], b: NDArray[np.intp]) -> float:
    joint = np.bincount(a * BINS + b, minlength=BINS * BINS).reshape(BINS, BINS) / a.size
    apart = joint.sum(1, keepdims=True) * joint.sum(0)
    there = joint > 0
    found = float((joint[there] * np.log(joint[there] / apart[there])).sum())
    # what independent pixels would show of their finite number
    return found - (BINS - 1) ** 2 / (2 * a.size)


def _histogram(pixels: Pixels, face: Pixels) -> float:
    """Overlap of grey levels, in [0, 1], also inverted: 1 where the face's pixels were merely put elsewhere."""
    ours, faces = (
        np.stack([np.bincount(plane.ravel() >> 1, minlength=128) for plane in np.moveaxis(image, -1, 0)])
        for image in (pixels, face)
    )
    either = np.stack([faces, faces[:, ::-1]])
    return float(1 - np.abs(ours[:, None, None] - either).sum(-1).min() / (2 * SIDE * SIDE))


def _psnr_excess(pixels: Pixels, face: Pixels) -> float:
    """How much nearer to the face the image is than the mean face, raw or averaged; 0 for what is far from both."""
    shown, plain = (np.moveaxis(image, -1, 0).astype(np.float32) for image in (pixels, face))
    errors = []
    for side in (SIDE, HALF, QUARTER):
        small = _shrunk(shown, side).repeat(SIDE // side, 1).repeat(SIDE // side, 2)
        errors.append(float(np.square(small - plain).mean()))
    # the mean face as light, as strong and as coloured as this one
    mean = _unit(np.moveaxis(mean_face(), -1, 0).astype(np.float32))
    rows = plain.reshape(3, -1) - plain.mean((1, 2))[:, None]
    base = float(np.square(rows - (rows * mean).sum(1, keepdims=True) * mean).mean())
    best, other = (10 * np.log10(255**2 / max(error, 1e-3)) for error in (min(errors), base))
    return float(best - other) if best >= PSNR_AT_LEAST else 0.0
