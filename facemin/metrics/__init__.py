"""Measures as pure functions: verification, identification, comparison scores and intervals."""

from facemin.metrics.comparison import cross_identity_scores, cross_identity_threshold, pair_scores
from facemin.metrics.identification import OpenSet, cmc, open_set, rank_k, ranks
from facemin.metrics.intervals import Interval, identity_bootstrap, identity_bootstrap_mean, wilson
from facemin.metrics.verification import (
    FoldAccuracy,
    ImpostorThreshold,
    Rates,
    Roc,
    TarAtFar,
    eer,
    rates_at,
    roc,
    tar_at_far,
    ten_fold_accuracy,
    threshold_at_far,
)

__all__ = [
    "FoldAccuracy",
    "ImpostorThreshold",
    "Interval",
    "OpenSet",
    "Rates",
    "Roc",
    "TarAtFar",
    "cmc",
    "cross_identity_scores",
    "cross_identity_threshold",
    "eer",
    "identity_bootstrap",
    "identity_bootstrap_mean",
    "open_set",
    "pair_scores",
    "rank_k",
    "ranks",
    "rates_at",
    "roc",
    "tar_at_far",
    "ten_fold_accuracy",
    "threshold_at_far",
    "wilson",
]
