"""Measures as pure functions: verification, identification, intervals, PMT's own, similarity and its floors."""

from facemin.metrics.agreement import Agreement, permutation_test
from facemin.metrics.comparison import cross_identity_scores, cross_identity_threshold, pair_scores
from facemin.metrics.floors import grey, mean_face, other_person, other_person_rows
from facemin.metrics.identification import OpenSet, cmc, open_set, rank_k, ranks
from facemin.metrics.intervals import Interval, identity_bootstrap, identity_bootstrap_mean, wilson
from facemin.metrics.perceptual import feature_distance
from facemin.metrics.privacy import (
    UtilityPrivacy,
    age_difference,
    age_difference_rows,
    attribute_cosine,
    attribute_cosine_rows,
    mean_cosine,
    srra,
    srra_rows,
    strict_accuracy,
    strict_accuracy_rows,
    utility_privacy,
    utility_privacy_rows,
)
from facemin.metrics.similarity import Window, psnr, ssim
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
    "Agreement",
    "FoldAccuracy",
    "ImpostorThreshold",
    "Interval",
    "OpenSet",
    "Rates",
    "Roc",
    "TarAtFar",
    "UtilityPrivacy",
    "Window",
    "age_difference",
    "age_difference_rows",
    "attribute_cosine",
    "attribute_cosine_rows",
    "cmc",
    "cross_identity_scores",
    "cross_identity_threshold",
    "eer",
    "feature_distance",
    "grey",
    "identity_bootstrap",
    "identity_bootstrap_mean",
    "mean_cosine",
    "mean_face",
    "open_set",
    "other_person",
    "other_person_rows",
    "pair_scores",
    "permutation_test",
    "psnr",
    "rank_k",
    "ranks",
    "rates_at",
    "roc",
    "srra",
    "srra_rows",
    "ssim",
    "strict_accuracy",
    "strict_accuracy_rows",
    "tar_at_far",
    "ten_fold_accuracy",
    "threshold_at_far",
    "utility_privacy",
    "utility_privacy_rows",
    "wilson",
]
