"""Carriers at the service: taken where a collection says so, and plain faces refused all the same."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import facemin
from facemin.client.client import ProviderError, SharedSecretWarning
from facemin.image import encode
from facemin.image.encoding import Encoding
from facemin.protection.carrier import CarrierRefused
from facemin.protection.carrier.base import base_of, resized
from facemin.pseudonym import Secret
from tests.service.device import Device, face, photos
from tests.service.running import Running

torch = pytest.importorskip("torch")


def test_a_collection_takes_none_before_it_says_so(spaced: Running, place: str) -> None:
    url = f"/v1/collections/{place}"
    assert spaced("GET", url).json()["carriers"] == "off"
    assert spaced("PATCH", url, {"carriers": "allowed"}).json()["carriers"] == "allowed"
    assert spaced("GET", url).json()["carriers"] == "allowed"
    assert spaced("PATCH", url, {"carriers": "required"}).status == 422
    asked = spaced("POST", f"/v1/challenges?collection={place}").json()
    assert asked["carriers"] == "allowed"


def test_carriers_are_accepted_and_plain_photos_refused(spaced: Running, place: str) -> None:
    device = Device(spaced, f"/v1/collections/{place}")
    device.enrol("me", face(1))
    carrier = base_of(b"\5" * 32).at(512)
    drawn: tuple[tuple[str, NDArray[np.float32], Encoding], ...] = (
        ("png", carrier, "PNG"),
        ("jpeg", base_of(b"\6" * 32).at(700), "JPEG"),
        ("small", resized(carrier, 200), "PNG"),
        ("drawing", base_of(b"\5" * 32, look="drawing").at(512), "PNG"),
    )
    files = {
        name: encode((255 * image).round().astype(np.uint8), format=form, quality=90) for name, image, form in drawn
    }
    photo = Image.fromarray(pytest.importorskip("skimage.data").astronaut())
    files["photo"] = encode(np.asarray(photo.resize((512, 512))))
    files["close"] = encode(np.asarray(photo.crop((90, 0, 346, 256)).resize((512, 512))))

    def sent(name: str) -> tuple[int, str | None]:
        challenge = device.challenge("me")["challenge"]
        upload = device.upload(files[name], challenge, "verify", "me", kind="image")
        reply = spaced("POST", f"{device.place}/verify", {"person": "me", "upload": upload, "challenge": challenge})
        return reply.status, reply.json().get("code")

    for name in files:
        assert sent(name)[0] == 422
    spaced("PATCH", device.place, {"carriers": "allowed"})
    assert sent("png")[0] == 200
    assert sent("jpeg")[0] == 200
    for name in ("small", "drawing", "photo", "close"):
        assert sent(name) == (422, "plain_face"), name


def test_enrolment_and_verification_by_carriers(spaced: Running, place: str, shared: Path) -> None:
    mine, other = photos(shared, "George_W_Bush", 3), photos(shared, "Serena_Williams", 1)
    client = facemin.Client(spaced.url, spaced.admin, collection=place, secret=Secret.new(), carrier="face")
    with pytest.raises(ProviderError, match="takes no carriers"):
        client.enrol("me", mine[:1])
    spaced("PATCH", f"/v1/collections/{place}", {"carriers": "allowed"})
    client.enrol("me", mine[:1])
    decision = client.verify("me", mine[1])
    assert decision.accepted
    assert decision.enrolled_as == "pseudonym"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SharedSecretWarning)
        thief = replace(client, purpose=place)
    assert not thief.verify("me", other[0]).accepted


def test_carriers_are_asked_for_with_a_secret_and_as_images(spaced: Running) -> None:
    with pytest.raises(CarrierRefused, match="expected a secret"):
        facemin.Client(spaced.url, spaced.admin, secret=None, carrier="face")
    with pytest.raises(CarrierRefused, match="expected upload 'image'"):
        facemin.Client(spaced.url, spaced.admin, upload="features", carrier="face")
    with pytest.raises(ValueError, match="got 'drawing'"):
        facemin.Client(spaced.url, spaced.admin, carrier="drawing")  # type: ignore[arg-type]
