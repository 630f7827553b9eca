"""Fit the default space again and compare it with the one that ships.

    python experiments/pseudonym/fit.py --shared ../shared --cache CACHE

Photos of the people of `fit` (people.py) and their mirror images; 66 axes, exponent 1, shrinkage 0.06, chosen on the
people of `choose` among 56 to 80 axes, exponents 0.5 to 1, shrinkages 0 to 0.06, and maps that weigh axes by the
variation within people, which were no better. The shipped map was fitted once, to embeddings of crops that had not
been rounded to 8 bits, and stays as it is; this prints how near a new fit comes, as cosines of both maps' embeddings.
"""

from __future__ import annotations

import numpy as np
from embeddings import all_photos, embed
from people import photos

from facemin.experiments.common import script_parser
from facemin.models import SPACE_MODEL, dlib_resnet
from facemin.models.registry import shipped_space
from facemin.models.space_fit import Whitening, fit

SETTINGS = Whitening(dimension=66, exponent=1.0, shrinkage=0.06)


def main() -> None:
    """Fit and compare."""
    parser = script_parser(__doc__, cache="folder that keeps embeddings between runs")
    arguments = parser.parse_args()
    found = photos("fit", all_photos(arguments.shared))
    paths = [path for some in found.values() for path in some]
    embedded = embed(dlib_resnet.graph(), arguments.shared, paths, arguments.cache)
    again = fit(np.concatenate([embedded.face, embedded.mirror]), SETTINGS)
    shipped, _ = shipped_space(SPACE_MODEL)
    cosines = (again(embedded.face) * shipped(embedded.face)).sum(1)
    print(f"{len(paths)} faces: cosine of both maps' embeddings {cosines.mean():.5f}, least {cosines.min():.5f}")


if __name__ == "__main__":
    main()
