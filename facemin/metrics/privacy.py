"""PMT's own measures: what a protected face still does, and what it still tells.

Every measure is a mean over rows; the function that ends in _rows gives what it is the mean of, so that an interval
can be made of it (identity_bootstrap_mean, or wilson where no person occurs twice). Embeddings and attribute vectors
need not be of unit length. All results are float64 or bool, on the CPU, and carry no gradient.

kappa is the cosine a pair must exceed, strictly as the paper writes it (verification.py accepts the threshold itself).
It has no default: the paper's section 6.2 takes 0.2 and its section 6.6 takes 0.5, while the thresholds published for
its recognisers (RobFR) lie anywhere from 0.16 to 0.44. Where the paper is not being repeated, pass the recogniser's
own threshold (threshold_at_far) and name it beside the figure.

Source: Facial Data Minimization: Shallow Model as Your Privacy Filter (PMT), section 6.2.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from facemin.metrics.comparison import named_cosines


class UtilityPrivacy(NamedTuple):
    """The two terms of UP, of each row (N,) or their means (a scalar); float64.

    Attributes:
        utility: 1 where the protected face is accepted as the original, else 0; or the share of them.
        privacy: distance of what the privacy-infringing models read from the two, mean over the models, in the
            unit of the distances that were passed.
    """

    utility: Tensor
    privacy: Tensor

    @property
    def total(self) -> Tensor:
        """UP itself: utility + privacy.

        A sum of a share and a distance: a perfect protector that fails at its task and a perfect recogniser that
        protects nothing can have the same one, so print both terms beside it.
        """
        return self.utility + self.privacy


def strict_accuracy_rows(protected: Tensor, original: Tensor, other: Tensor, same: Tensor, *, kappa: float) -> Tensor:
    """Whether each test pair counts as correct in strict_accuracy. Arguments and errors as there; (N,) bool."""
    accepted = _exceeds("protected", protected, "original", original, kappa)
    matched = _exceeds("protected", protected, "other", other, kappa)
    if same.dtype != torch.bool or same.shape != accepted.shape:
        raise ValueError(f"same: expected a bool tensor ({len(accepted)},), got {same.dtype} {tuple(same.shape)}")
    return accepted & (matched == same.cpu())


def strict_accuracy(protected: Tensor, original: Tensor, other: Tensor, same: Tensor, *, kappa: float) -> Tensor:
    """acc: share of pairs whose protected face matches its own original, and the other face only if it should.

    A recogniser that refuses everything scores 0 and not the one half of plain accuracy, which is how the paper's
    unauthorised recognisers fall far below one half; compare with nothing but another strict accuracy.

    Source: PMT, equation 10.

    Args:
        protected: embeddings of the protected first faces, f(x~1), (N, D).
        original: embeddings of the same faces unprotected, f(x1), (N, D).
        other: embeddings of the second faces, unprotected, f(x2), (N, D).
        same: y, whether the two faces are of one person, (N,) bool.
        kappa: cosine to exceed, in [-1, 1]; the paper's 0.2.

    Returns:
        scalar float64 in [0, 1].

    Raises:
        ValueError: shapes differ, or there are no rows; a row is zero or not finite; same is not bool; kappa is not
            a finite number.
    """
    return strict_accuracy_rows(protected, original, other, same, kappa=kappa).double().mean()


def mean_cosine(reconstructed: Tensor, original: Tensor) -> Tensor:
    """COS: mean cosine between embeddings of reconstructed and of original faces; pair_scores gives its rows.

    The paper wants it high, as utility of what was reconstructed. It is as well the identity that the attacker
    recovered.

    Source: PMT, section 6.2 (COS) and table VI.

    Args:
        reconstructed: (N, D).
        original: (N, D).

    Returns:
        scalar float64 in [-1, 1].

    Raises:
        ValueError: shapes differ, or there are no rows; a row is zero or not finite.
    """
    return _cosines("reconstructed", reconstructed, "original", original).mean()


def srra_rows(reconstructed: Tensor, original: Tensor, *, kappa: float) -> Tensor:
    """Whether each reconstruction is accepted as its original. Arguments and errors as srra; (N,) bool."""
    return _exceeds("reconstructed", reconstructed, "original", original, kappa)


def srra(reconstructed: Tensor, original: Tensor, *, kappa: float) -> Tensor:
    """SRRA: share of reconstructed faces that the recogniser accepts as the face they were made from.

    At a lenient kappa it saturates: all 24 cells of the paper's table VI are 1.

    Source: PMT, section 6.2 (SRRA) and table VI.

    Args:
        reconstructed: embeddings of the reconstructed faces, (N, D).
        original: embeddings of the faces they were made from, (N, D).
        kappa: cosine to exceed, in [-1, 1]; the paper's 0.2.

    Returns:
        scalar float64 in [0, 1].

    Raises:
        ValueError: shapes differ, or there are no rows; a row is zero or not finite; kappa is not a finite number.
    """
    return srra_rows(reconstructed, original, kappa=kappa).double().mean()


def utility_privacy_rows(protected: Tensor, original: Tensor, distances: Tensor, *, kappa: float) -> UtilityPrivacy:
    """Both terms of UP for each row, (N,) float64 each. Arguments and errors as utility_privacy."""
    utility = _exceeds("protected", protected, "original", original, kappa).double()
    wide = distances.detach().cpu().double()
    if wide.ndim not in (1, 2) or wide.shape[:1] != utility.shape or wide.numel() == 0:
        n = len(utility)
        raise ValueError(f"distances: expected ({n},) or ({n}, K) with K >= 1, got {tuple(distances.shape)}")
    bad = int(wide.isfinite().logical_not().sum())
    if bad:
        raise ValueError(f"distances: expected finite numbers, got {bad} of {wide.numel()} that are not")
    return UtilityPrivacy(utility, wide if wide.ndim == 1 else wide.mean(1))


def utility_privacy(protected: Tensor, original: Tensor, distances: Tensor, *, kappa: float) -> UtilityPrivacy:
    """UP(sigma, kappa): how often a protected face still works, and how far it moved what other models read.

    The noise of the world, x ~ N(X, sigma^2) on both faces, is the caller's: add it to the faces, then embed them
    and measure the distances on the same noisy faces; several draws of a face are several rows. The paper sums
    K + 1 models and divides by K; this is the mean over the models, which with the paper's single one (LPIPS on VGG
    in place of attribute estimators) is that distance.

    Source: PMT, equation 9; figures 8 to 10.

    Args:
        protected: embeddings of the noisy protected faces, f(x~), (N, D).
        original: embeddings of the noisy original faces, f(x), (N, D).
        distances: Dist(m_i(x), m_i(x~)) of each row, (N,), or of each row and model, (N, K); 0 where nothing moved.
        kappa: cosine to exceed, in [-1, 1]; the paper's 0.2, and 0.5 in its section 6.6.

    Raises:
        ValueError: shapes do not fit, or there are no rows; a row is zero or not finite; a distance is not finite;
            kappa is not a finite number.
    """
    rows = utility_privacy_rows(protected, original, distances, kappa=kappa)
    return UtilityPrivacy(rows.utility.mean(), rows.privacy.mean())


def attribute_cosine_rows(protected: Tensor, original: Tensor) -> Tensor:
    """Cosine of each face's two attribute vectors. Arguments and errors as attribute_cosine; (N,) float64."""
    return _cosines("protected", protected, "original", original)


def attribute_cosine(protected: Tensor, original: Tensor) -> Tensor:
    """CosSim: mean cosine between attribute vectors of protected and of original faces; lower hides more.

    Vectors of probabilities have no negative entry, so their cosine is not near 0 for strangers either: print the
    value for another person's face (floors.other_person) beside it.

    Source: PMT, equation 11.

    Args:
        protected: A(x~), (N, A), one vector a face, e.g. an estimator's probabilities.
        original: A(x), (N, A).

    Returns:
        scalar float64 in [-1, 1].

    Raises:
        ValueError: shapes differ, or there are no rows; a row is zero or not finite.
    """
    return attribute_cosine_rows(protected, original).mean()


def age_difference_rows(protected: Tensor, original: Tensor) -> Tensor:
    """Absolute difference of each face's two ages. Arguments and errors as age_difference; (N,) float64, years."""
    if protected.ndim != 1 or protected.shape != original.shape or protected.numel() == 0:
        raise ValueError(
            f"protected, original: expected the same shape (N,), N >= 1, "
            f"got {tuple(protected.shape)}, {tuple(original.shape)}"
        )
    difference = (protected.detach().cpu().double() - original.detach().cpu().double()).abs()
    bad = int(difference.isfinite().logical_not().sum())
    if bad:
        raise ValueError(f"protected, original: expected finite ages, got {bad} rows with others")
    return difference


def age_difference(protected: Tensor, original: Tensor) -> Tensor:
    """Mean absolute difference between the ages estimated from protected and from original faces; higher hides more.

    Source: PMT, section 6.2 ("the absolute difference for age measurement").

    Args:
        protected: ages in years, (N,).
        original: ages in years, (N,).

    Returns:
        scalar float64, years.

    Raises:
        ValueError: shapes differ or are not (N,), N >= 1; an age is not finite.
    """
    return age_difference_rows(protected, original).mean()


def _cosines(a_name: str, a: Tensor, b_name: str, b: Tensor) -> Tensor:
    cosines = named_cosines(a_name, a, b_name, b)
    if cosines.numel() == 0:
        raise ValueError(f"{a_name}, {b_name}: expected (N, D) with N >= 1, got {tuple(a.shape)}")
    return cosines


def _exceeds(a_name: str, a: Tensor, b_name: str, b: Tensor, kappa: float) -> Tensor:
    if not math.isfinite(kappa):
        raise ValueError(f"kappa: expected a finite cosine, got {kappa}")
    return _cosines(a_name, a, b_name, b) > kappa
