"""Tables and figures of PMT in the paper's order, each with what the paper claims by it."""

from __future__ import annotations

import re

CLAIMS = {
    "Table III": "Noise is the best start of the three: it leaves the opponent least.",
    "Table IV": "Random noise as T, and several layers, keep the authorised and leave the opponent least.",
    "Table V": "A Gaussian kernel leaves the opponent least.",
    "Figure 4": "A kernel of length 1 has the highest UP as noise grows.",
    "Figure 5": "Random noise as T has the highest UP as noise grows.",
    "Table VI": "Nothing of a face is reconstructed from PMT's features: SSIM 0.03, of unprotected ones 0.62 to 0.99.",
    "Figure 6": "An eye sees no face in what is reconstructed from PMT's features.",
    "Table VII": "The authorised keep 0.95 to 1.00, other recognisers 0.00 to 0.16, at a threshold of 0.2.",
    "Figure 7": "Estimators are misled by PMT's images, and not by noise.",
    "Table VIII": (
        "Attributes are further from the plain face's than with noise: cosines of 0.31 (expression), 0.63 (race) and "
        "0.83 (gender), and 8.9 years."
    ),
    "Figure 8": "Up to a noise of 0.2, protected faces have more utility and more privacy than plain ones.",
    "Figure 9": "Protected features are less sensitive to noise than plain ones.",
    "Figure 10": "UP of protected faces is higher than of plain ones, and stable up to a threshold of 0.6.",
    "Table IX": "One image serves several services; others' mean is 0.32 to 0.75.",
    "Table X": "Each part of the enhancement raises UP; all together leave the opponent least.",
    "Figure 11": "The enhancement raises UP as noise grows.",
}
"""By what the paper calls it, in the order in which it prints them; figures are those of LFW."""

_PLACE = re.compile(r"PMT, ((?:Table|Figure) (?:[IVX]+|\d+))")


def place_of(source: str) -> str:
    """Which of the paper's tables or figures an experiment's source begins with; empty where it names none."""
    found = _PLACE.match(source)
    return found[1] if found is not None and found[1] in CLAIMS else ""


def order(place: str, *, of_paper: bool) -> int:
    """Where a section stands: the paper's own first, then what goes beyond it, then everything else."""
    places = list(CLAIMS)
    return places.index(place) if place else len(places) + (not of_paper)
