"""What the worst of many attempts says: on audits in which there is nothing to find, and where it is spread out."""

import pytest
import torch
from scipy import stats

from facemin.audit.figures import counted
from facemin.audit.rows.identity import Trial, trial, trials, worst_trial

LEVEL = 0.05


def audit_of_nobody(generator: torch.Generator, *, pairs: int, cells: int, crowd: float = 0.0) -> list[Trial]:
    """Attempts at protected images that say nothing, each at a plain threshold of FAR 1e-3 and at one of their own.

    Args:
        pairs: people.
        cells: recognisers and purifiers.
        crowd: how far protected images lie in one direction, so that strangers are taken for one another more often.
    """
    counting: list[Trial] = []
    for cell in range(cells):
        sides = torch.randn(2, pairs, 32, generator=generator, dtype=torch.float64)
        sides[..., 0] += crowd
        probes, references = sides / sides.norm(dim=2, keepdim=True)
        scores = probes @ references.T
        _, counts = trials(
            scores.diagonal(),
            scores[~torch.eye(pairs, dtype=torch.bool)],
            threshold=0.53,  # of plain faces that are even on the sphere in 32 dimensions, 1e-3 are above it
            far=1e-3,
            of=str(cell),
            where="protected probe",
        )
        counting += counts
    return counting


@pytest.mark.parametrize(("pairs", "crowd"), [(8, 0.0), (20, 0.0), (60, 0.0), (20, 1.2), (60, 1.2)])
def test_an_audit_of_nothing_seldom_says_that_something_was_got(pairs: int, crowd: float) -> None:
    generator, audits = torch.Generator().manual_seed(pairs), 150
    said = [
        worst_trial(audit_of_nobody(generator, pairs=pairs, cells=24, crowd=crowd), "cells")[0] for _ in range(audits)
    ]
    assert said.count("leak") <= stats.binom.ppf(0.999, audits, LEVEL)


def test_false_accepts_among_protected_images_explain_hits() -> None:
    """At the plain threshold one stranger of a hundred passes: 4 of 40 are no finding, at FAR 1e-3 they would be."""
    genuine = torch.tensor([0.9] * 4 + [0.0] * 36, dtype=torch.float64)
    impostor = torch.zeros(2000, dtype=torch.float64)
    impostor[:18] = 0.8
    own = trials(genuine, impostor, threshold=0.5, far=1e-3, of="one", where="")[1][0]
    assert own.figure.hits == 4
    assert own.p > 100 * stats.binom.sf(3, 40, 1e-3)


def test_one_person_more_makes_nothing_uncertain_that_a_hundred_bound() -> None:
    nobody = torch.zeros(100, dtype=torch.bool)
    many = trial(counted(nobody, name="TAR", of="many", where="raw"), nobody, chance=0.001)
    one = trial(counted(nobody[:1], name="TAR", of="one", where="raw"), nobody, chance=0.001)
    assert worst_trial([one], "cells")[0] == "cannot tell"
    assert worst_trial([many], "cells")[0] == worst_trial([many, one], "cells")[0] == "bounded"
    # a few who are all hit are a leak all the same
    few = torch.arange(100) < 5
    leak = trial(counted(few[:5], name="TAR", of="few", where="raw"), few, chance=0.001)
    assert worst_trial([many, leak], "cells")[0] == "leak"


def test_the_union_stands_beside_the_worst() -> None:
    rows = torch.eye(80, dtype=torch.bool)[:6]
    counting = [
        trial(counted(row, name="TAR", of=str(at), where="raw"), row, chance=0.01) for at, row in enumerate(rows)
    ]
    outcome, words = worst_trial(counting, "cells")
    assert "The worst of 6 cells accepted 1 of 80" in words
    assert "At least one of them accepted 6 of 80 (95 % interval 3 % to 15 %)" in words
    # an attempt on one person alone, whose flags are of everybody
    on_one = trial(counted(rows[0, :1], name="TAR", of="few", where="raw"), rows[0], chance=0.01)
    assert "At least one of them accepted 6 of 80" in worst_trial([*counting, on_one], "cells")[1]
    alone = worst_trial(counting[:1], "cells")
    assert "At least one" not in alone[1]
    assert outcome != "leak"
