"""Pseudonyms: a person's secret, and the rotation of embeddings that it makes for a provider and a purpose."""

from facemin.pseudonym.captures import CaptureLog, CaptureReused, Sent
from facemin.pseudonym.derivation import Context, derive_seed
from facemin.pseudonym.encoding import derive_key, encode_fields
from facemin.pseudonym.enrolled import EnrolledFace, OtherPerson
from facemin.pseudonym.origin import LOCAL, normalise_origin
from facemin.pseudonym.possession import PossessionKey, UploadStatement, verify_upload
from facemin.pseudonym.probes.score_preserving import score_preserving
from facemin.pseudonym.probes.templates import EnrolledTemplates
from facemin.pseudonym.rotation import Pseudonym, average_views, haar
from facemin.pseudonym.secret import LOSS, Secret
from facemin.pseudonym.secret_store import DEFAULT_SECRET, SecretEntry, SecretStore, read_exported
from facemin.pseudonym.stranger import identification_threshold, stranger_far, stranger_threshold

__all__ = [
    "DEFAULT_SECRET",
    "LOCAL",
    "LOSS",
    "CaptureLog",
    "CaptureReused",
    "Context",
    "EnrolledFace",
    "EnrolledTemplates",
    "OtherPerson",
    "PossessionKey",
    "Pseudonym",
    "Secret",
    "SecretEntry",
    "SecretStore",
    "Sent",
    "UploadStatement",
    "average_views",
    "derive_key",
    "derive_seed",
    "encode_fields",
    "haar",
    "identification_threshold",
    "normalise_origin",
    "read_exported",
    "score_preserving",
    "stranger_far",
    "stranger_threshold",
    "verify_upload",
]
