"""Command `protect`: photos and folders of them."""

from __future__ import annotations

from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from facemin.cli.person.carrier import WITHOUT, CarrierFlags
from facemin.cli.person.painting import open_for_targets
from facemin.cli.shared.options import Device, Json, KeyFiles, MaxPixels, Seed
from facemin.cli.shared.output import available_device, note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facemin.keys.key import Key
    from facemin.protection import Failure
    from facemin.protection.contract import OnStep
    from facemin.protection.folder.job import FolderJob
    from facemin.protection.folder.run import FolderResult, Plan

DEFAULT_SECRET = "default"  # noqa: S105 - a name
ED25519_BYTES = 32
FACE_SHAPE = (3, 112, 112)
WITHOUT_PSEUDONYM = (
    "--no-pseudonym: whoever has the key recognises the people (measured on 150 people: rank one 0.94 with the key, "
    "and 0.70 for somebody with 500 other people's photos and protected images; with a secret both are at chance, 0.01)"
)
SHALLOW = 0.25
"""Share of an image's values from which a key's features are called shallow."""


def protect(
    *inputs: Annotated[Path, Parameter(help="Photos, and folders of photos (walked recursively).")],
    out: Annotated[Path, Parameter(help="Folder for the results.")],
    key: KeyFiles = (),
    signer: Annotated[
        str | None, Parameter(help="Ed25519 public key, 64 hexadecimal digits, that must have signed every key.")
    ] = None,
    secret: Annotated[
        str, Parameter(help="Name of your secret (facemin secret list); made at its first use.")
    ] = DEFAULT_SECRET,
    no_pseudonym: Annotated[
        bool,
        Parameter(
            name="--no-pseudonym",
            negative="",
            help="Protect without a secret, for galleries of plain enrolments: whoever has the key recognises the "
            "people.",
        ),
    ] = False,
    purpose: Annotated[
        str, Parameter(help="What the pseudonym is for, as its recipient names it; another one is a stranger.")
    ] = "main",
    recipient: Annotated[
        tuple[str, ...],
        Parameter(
            name="--for",
            negative="",
            help="The recipient's address, https://HOST; another one is a stranger. Once for all keys, or once for "
            "each. Without it the pseudonym is for no recipient in particular.",
        ),
    ] = (),
    epoch: Annotated[int, Parameter(help="Of the pseudonym, raised by renewal; another one is a stranger.")] = 0,
    linkable: Annotated[
        bool,
        Parameter(
            negative="",
            help="Protect the same photo for several keys, which tells their holders, if they compare, that it is one "
            "person: b.KEYID.protected.png for each.",
        ),
    ] = False,
    one_image: Annotated[
        bool, Parameter(negative="", help="With --linkable: one image for all keys. They see that it is the same.")
    ] = False,
    trust_key: Annotated[
        bool,
        Parameter(
            negative="",
            help="Trust a key that is not on the list of known ones, from now on: from the second upload on a "
            "dishonest key can identify you.",
        ),
    ] = False,
    protector: Annotated[
        tuple[Path, ...], Parameter(negative="", help="A one-pass protector that came with a key; may be repeated.")
    ] = (),
    method: Annotated[
        str,
        Parameter(
            help="auto takes one-pass where the key has a protector, else robust. one-pass paints in milliseconds; "
            "robust optimises (needs torch); both withstand what providers do to images (JPEG, resizing, blur, noise). "
            "pmt and pmt-enhanced are the paper's algorithms; frequency-mask is for a recogniser trained on masked "
            "images, and writes results with --allow-revealing alone: whoever fits a linear map has the face back."
        ),
    ] = "auto",
    seed: Seed = None,
    upload: Annotated[
        Literal["image", "features"], Parameter(help="What will be sent: b.protected.png or b.protected.safetensors.")
    ] = "image",
    paste: Annotated[
        bool, Parameter(negative="", help="Also write b.pasted.png, the photo with its faces protected; to look at.")
    ] = False,
    exif: Annotated[
        bool,
        Parameter(negative="", help="Keep the photo's EXIF (time, place, camera); with --no-pseudonym only."),
    ] = False,
    aligned: Annotated[
        bool, Parameter(negative="", help="Inputs are aligned faces of 112 x 112 already; detect nothing.")
    ] = False,
    min_face: Annotated[
        int, Parameter(help="Smallest face to look for, pixels; large photos are searched faster for larger faces.")
    ] = 24,
    max_pixels: MaxPixels = 64_000_000,
    batch: Annotated[int, Parameter(help="Faces optimised at once.")] = 16,
    workers: Annotated[
        int | None,
        Parameter(
            help="Processes, one thread and one model each; as many as there are cores is fastest. 1 when not given; "
            "with --ray, actors: as many as the cluster has cores."
        ),
    ] = None,
    ray: Annotated[
        str | None,
        Parameter(
            help="A Ray cluster that does it (extra 'ray'): local, auto, HOST:PORT or ray://HOST:PORT, as ray.init has "
            "it. All machines have to see the photos, OUT, and $FACEMIN_HOME."
        ),
    ] = None,
    allow_revealing: Annotated[
        bool,
        Parameter(
            negative="",
            help="With --no-pseudonym: write results that still show the plain face, for research; refused otherwise.",
        ),
    ] = False,
    carrier: CarrierFlags = WITHOUT,
    device: Device = "auto",
    as_json: Json = False,
) -> int:
    """Protect your face in photos: providers recognise you by a pseudonym, and nobody learns your face from it.

    The pseudonym is made with a secret that only your devices have: the first face under it is taken for yours, and
    of each photo the largest face like it is protected; other people are left out, and need a secret of their own.
    With --no-pseudonym every face is protected, and whoever has the key recognises the people.

    The protected face of a/b.jpg is OUT/a/b.protected.png, 112 x 112: faces largest first, b.2.protected.png for
    the second, and so on; b.protected.json beside it says what was found and spent. A rerun skips what is done.

    Ctrl-C ends after the step at hand; what is done is kept, and the same command goes on.

    Exit status: 0 when every face is protected and reaches every key, also those of earlier runs; 1 when something was
    not done, which is listed: a path with nothing there, a folder without photos, a photo that failed, a face at the
    photo's edge or of somebody else that was left out, one that did not reach a key, or a carrier that is not found as
    a face; 2 on wrong input (options, a key, a folder that cannot be written), before the first face; 130 after Ctrl-C.
    """
    from facemin.cli.person.secrets import secret_in_use
    from facemin.cli.shared.places import check_folder, clear_unfinished
    from facemin.cli.shared.progress import follow
    from facemin.face import Detector
    from facemin.keys.default import default_key, plain_key
    from facemin.keys.key import Key
    from facemin.protection.folder.job import FolderJob
    from facemin.protection.folder.run import plan
    from facemin.protection.folder.workers import check_workers
    from facemin.protection.sources import open_method
    from facemin.protection.targets import check_keys
    from facemin.runtime.compute import Compute
    from facemin.runtime.seeds import check_seed

    if not inputs:
        raise ValueError("inputs: expected at least one photo or folder, got none")
    check_folder("--out", out)
    if signer is not None and not key:
        raise ValueError("--signer: expected with --key, got no key file")
    _check_options(
        no_pseudonym,
        plain={"--exif": exif, "--allow-revealing": allow_revealing},
        pseudonymous={
            "--secret": secret != DEFAULT_SECRET,
            "--purpose": purpose != "main",
            "--for": bool(recipient),
            "--epoch": epoch != 0,
            "--linkable": linkable,
            "--one-image": one_image,
            "--trust-key": trust_key,
            "--protector": bool(protector),
            "--carrier": bool(carrier),
        },
    )
    aside = {"--method": method != "auto", "--protector": bool(protector), "--paste": paste}
    carrier.check(aside | {"--upload": upload != "image", "--device": device not in ("auto", "cpu")})
    if protector and method not in ("auto", "one-pass"):
        raise ValueError(f"--protector: expected with --method auto or one-pass, got {method}")
    if seed is not None:
        check_seed(seed)
    check_workers(1 if workers is None else workers)
    public, detector, origin = public_key(signer), Detector(min_face=min_face), _origins(recipient)
    loaded = carrier.keys([Key.load(path, signer=public) for path in key])
    keys = loaded or [plain_key() if no_pseudonym else default_key()]
    where = available_device(device)
    if not no_pseudonym:
        check_keys(keys, linkable=linkable, one_image=one_image, trust_key=trust_key)
    if carrier:
        settings: Any = carrier.settings()
    elif no_pseudonym:
        settings = open_method(method, keys)
    else:
        settings = open_for_targets(method, protector, keys, upload=upload, one_image=one_image)
    job = FolderJob(
        out=out,
        keys=keys,
        method=settings,
        secret=None if no_pseudonym else secret_in_use(secret),
        purpose=purpose,
        origin=origin,
        epoch=epoch,
        linkable=linkable,
        one_image=one_image,
        seed=seed,
        upload=upload,
        paste=paste,
        exif=exif,
        aligned=aligned,
        detector=detector,
        max_pixels=max_pixels,
        allow_revealing=allow_revealing,
        compute=Compute(batch=batch, device=where),
    )
    _warn_of_revealing_results(method, allowed=allow_revealing)
    if no_pseudonym:
        note(WITHOUT_PSEUDONYM)
        for each in keys:
            _warn_of_a_shallow_key(each)
    if not (key or carrier):
        note(
            "no --key given: using the public default key"
            + (", which keeps nothing from whoever has dlib's model" if no_pseudonym else "")
        )
    todo = plan(inputs, job)
    clear_unfinished(todo.folders)
    return follow(
        todo,
        partial(_begin, todo, job, workers, ray),
        device=where,
        keys=len(keys),
        as_json=as_json,
    )


def _warn_of_revealing_results(method: str, *, allowed: bool) -> None:
    if allowed:
        note("--allow-revealing: RESULTS MAY SHOW THE PLAIN FACE. Do not send them to anybody")
    elif method == "frequency-mask":
        note("frequency-mask: results are refused, since a fitted inversion finds the face; see --allow-revealing")


def _begin(
    todo: Plan, job: FolderJob, workers: int | None, ray: str | None, on_step: OnStep
) -> Iterator[FolderResult | Failure]:
    """Begin a folder's work here, by several processes, or on a cluster."""
    from facemin.protection.folder.on_ray import protect_on_ray
    from facemin.protection.folder.run import protect_into
    from facemin.protection.folder.workers import protect_by_workers

    if ray is not None:
        return protect_on_ray(todo, job, address=ray, workers=workers, on_step=on_step)
    if workers is None or workers == 1:
        return protect_into(todo, job, on_step=on_step)
    return protect_by_workers(todo, job, workers=workers, on_step=on_step)


def _check_options(no_pseudonym: bool, *, plain: dict[str, bool], pseudonymous: dict[str, bool]) -> None:
    """Refuse options that would do nothing: those of plain protection with a secret, and the other way round."""
    for name, given in plain.items():
        if given and not no_pseudonym:
            raise ValueError(f"{name}: expected with --no-pseudonym: a pseudonym's image holds nothing of a photo")
    for name, given in pseudonymous.items():
        if given and no_pseudonym:
            raise ValueError(f"{name}: expected with a pseudonym, got it with --no-pseudonym")


def _origins(recipients: tuple[str, ...]) -> str | tuple[str, ...]:
    from facemin.pseudonym import LOCAL, normalise_origin

    given = tuple(map(normalise_origin, recipients))
    if not given:
        return LOCAL
    return given[0] if len(given) == 1 else given


def public_key(text: str | None) -> bytes | None:
    """The value of --signer, 32 bytes.

    Raises:
        ValueError: other than 64 hexadecimal digits.
    """
    try:
        value = None if text is None else bytes.fromhex(text)
    except ValueError:
        value = b""
    if value is not None and len(value) != ED25519_BYTES:
        raise ValueError(f"--signer: expected {2 * ED25519_BYTES} hexadecimal digits, got {text!r}")
    return value


def _warn_of_a_shallow_key(key: Key) -> None:
    """Measured on dlib (docs/decisions/004-default-cut.md): keys this wide give the face to every recogniser."""
    values = prod(key.manifest.features)
    if values >= SHALLOW * prod(FACE_SHAPE):
        note(
            f"key {key.manifest.key_id} matches {values:,} values of an image of {prod(FACE_SHAPE):,}: so shallow a "
            "key has been seen to give the face back to every recogniser"
        )
