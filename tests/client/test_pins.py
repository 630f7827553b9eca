"""Pins: what of a provider's key may change, and what a pin file of an earlier version still says."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from facemin.client.pins import KeyChanged, Pins, canonical
from facemin.keys.key import Key, export_key
from facemin.keys.provider_name import displayed
from facemin.models import Recogniser, load_recogniser

URL = "https://faces.example"
SIGNING = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=2)

Make = Callable[..., Key]


@pytest.fixture(scope="module")
def make() -> Make:
    recogniser = load_recogniser("dlib-resnet29")
    other = Recogniser(recogniser.graph, name="other-net", cuts=tuple(cut.name for cut in recogniser.cuts))

    def run(*, cut: str = "conv32.1", name: str = "dlib-resnet29", days: int = 0, **more: object) -> Key:
        values = {"provider": "Acme", "residual": 0.3, "key_id": "k", "signing_key": SIGNING} | more
        created = NOW + timedelta(days=days)
        source = recogniser if name == "dlib-resnet29" else other
        return export_key(source, cut, created=created, **values)  # type: ignore[arg-type]

    return run


CHANGES: dict[str, tuple[dict[str, object], str]] = {
    "provider": ({"provider": "Bcme"}, "the provider's name: Bcme instead of Acme"),
    "recogniser": ({"name": "other-net"}, "the recogniser: other-net instead of dlib-resnet29"),
    "cut": ({"cut": "conv7"}, "the place where the recogniser is cut: conv7 instead of conv32.1"),
    "layers": ({"layers": ("conv7",)}, "the layers that are matched: conv7, conv32.1 instead of conv32.1"),
    "features": ({"cut": "conv7"}, "the shape of the features: 32 x 72 x 72 instead of 32 x 35 x 35"),
    "residual": ({"residual": 2.0}, "a residual of 2 instead of 0.3"),
    "tight residual": ({"residual": 0.01}, "a residual of 0.01 instead of 0.3"),
    "homograph": ({"provider": "\u0410cme"}, "mixed scripts: Cyrillic U\\+0410"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_successor_is_said_in_words(name: str, make: Make, tmp_path: Path) -> None:
    change, words = CHANGES[name]
    pins = Pins(root=tmp_path)
    pins.accept(URL, make().data, now=NOW)
    with pytest.raises(KeyChanged, match=words) as caught:
        pins.accept(URL, make(days=1, **change).data, now=LATER)
    assert "facemin client forget" in str(caught.value)
    pins.forget(URL)
    pins.accept(URL, make(days=1, **change).data, now=LATER)


def test_a_successor_with_new_dates_and_id_is_taken(make: Make, tmp_path: Path) -> None:
    pins = Pins(root=tmp_path)
    pins.accept(URL, make().data, now=NOW)
    second = make(days=1, key_id="k2", residual=0.35)
    assert pins.accept(URL, second.data, now=LATER).fingerprint == second.fingerprint


def test_a_stripped_signature_is_refused(make: Make, tmp_path: Path) -> None:
    pins = Pins(root=tmp_path)
    pins.accept(URL, make().data, now=NOW)
    for days in (0, 1):
        with pytest.raises(KeyChanged, match="signature was taken away"):
            pins.accept(URL, make(days=days, signing_key=None).data, now=LATER)


SAME = ["https://FACES.example", "HTTPS://faces.example/", "https://faces.example:443", "https://faces.example.:443/"]


@pytest.mark.parametrize("url", SAME)
def test_one_provider_however_its_url_is_written(url: str, make: Make, tmp_path: Path) -> None:
    assert canonical(url) == URL
    pins = Pins(root=tmp_path)
    pins.accept(url, make().data, now=NOW)
    assert pins.pin(URL) is not None
    with pytest.raises(KeyChanged):
        pins.accept(URL, make(days=1, signing_key=None).data, now=LATER)
    pins.forget(URL)
    assert pins.pin(url) is None


OTHERS = ["https://faces.example:8443", "http://faces.example", "https://faces.example/a", "https://faces.example/A"]


def test_other_providers_stay_apart() -> None:
    assert len({canonical(url) for url in [URL, *OTHERS]}) == len(OTHERS) + 1
    assert canonical("http://[::1]:80") == "http://[::1]"
    assert canonical("https://b\u00fccher.example") == canonical("https://xn--bcher-kva.example")


def old_pin(root: Path, url: str, key: Key, *, file: bool = True) -> None:
    """A pin as the first version wrote it (commit 4935f24): four fields, in a folder named by the URL as typed."""
    folder = root / sha256(url.rstrip("/").encode()).hexdigest()[:32]
    folder.mkdir(parents=True)
    fields = {
        "url": url,
        "signer": key.signer.hex() if key.signer else None,
        "fingerprint": key.fingerprint,
        "created": key.manifest.created.isoformat().replace("+00:00", "Z"),
    }
    (folder / "pin.json").write_text(json.dumps(fields, indent=1) + "\n")
    if file:
        (folder / "key.onnx").write_bytes(key.data)


FIRST_VERSION = """{
 "url": "https://Faces.Example:443",
 "signer": "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c",
 "fingerprint": "a53fd84595211deaf01253e1f9b2a00c17e8120fe253b0036a015ecb9c42a758",
 "created": "2026-06-01T00:00:00Z"
}
"""


def test_a_pin_file_of_the_first_version_is_read(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "c0a0880fb0b5061886d58b8d999ddb62"
    folder.mkdir()
    (folder / "pin.json").write_text(FIRST_VERSION)
    pins = Pins(root=tmp_path)
    for url in ("https://Faces.Example:443", URL):
        pin = pins.pin(url)
        assert pin is not None
        assert pin.signer == SIGNING.public_key().public_bytes_raw().hex()
    # its key file is gone: the signer still counts
    with pytest.raises(KeyChanged, match="signature was taken away"):
        pins.accept(URL, make(days=1, signing_key=None).data, now=LATER)
    pins.accept(URL, make(days=1).data, now=LATER)
    assert [path.parent.name for path in tmp_path.glob("*/pin.json")] == [sha256(URL.encode()).hexdigest()[:32]]


@pytest.mark.parametrize("url", [URL, "https://FACES.example", "https://faces.example:443", "https://faces.example/"])
def test_an_old_pin_holds_what_its_key_says(url: str, make: Make, tmp_path: Path) -> None:
    old_pin(tmp_path, url, make())
    pins = Pins(root=tmp_path)
    assert pins.file(URL) == make().data
    with pytest.raises(KeyChanged, match="is cut: conv7 instead of"):
        pins.accept(URL, make(days=1, cut="conv7").data, now=LATER)
    pins.accept(URL, make(days=1).data, now=LATER)
    with pytest.raises(KeyChanged, match="older"):
        pins.accept(URL, make().data, now=LATER)


def test_of_two_old_pins_both_count(make: Make, tmp_path: Path) -> None:
    old_pin(tmp_path, URL, make(signing_key=None))
    old_pin(tmp_path, "https://FACES.example", make())
    with pytest.raises(KeyChanged):
        Pins(root=tmp_path).accept(URL, make(signing_key=None).data, now=NOW)


def test_a_damaged_pin_is_said(make: Make, tmp_path: Path) -> None:
    pins = Pins(root=tmp_path)
    pins.accept(URL, make().data, now=NOW)
    (path,) = tmp_path.glob("*/pin.json")
    path.write_text("{}")
    with pytest.raises(ValueError, match="delete it to trust the provider anew"):
        pins.accept(URL, make().data, now=NOW)


class TestDates:
    """Of a key's making and end."""

    @pytest.mark.parametrize(("ahead", "taken"), [(timedelta(hours=23), True), (timedelta(days=1, minutes=1), False)])
    def test_made_in_the_future(self, ahead: timedelta, taken: bool, make: Make) -> None:
        data = make().data
        if taken:
            assert Key.load(data, now=NOW - ahead)
            return
        with pytest.raises(ValueError, match="expected a key made before"):
            Key.load(data, now=NOW - ahead)

    def test_valid_for_ten_years_at_most_or_for_ever(self, make: Make) -> None:
        assert make(expires=NOW + timedelta(days=3652)).manifest.expires is not None
        assert make(expires=None).manifest.expires is None
        with pytest.raises(ValueError, match="within ten years, or never"):
            make(expires=NOW + timedelta(days=3660))


@pytest.mark.parametrize(
    "name",
    ["Acme", "Bank \u682a\u5f0f\u4f1a\u793e \u30ab\u30ca", "\u0420\u043e\u0441\u0441\u0438\u044f", "Caf\u00e9 42"],
)
def test_honest_names_are_shown_as_they_are(name: str) -> None:
    assert displayed(name) == name


@pytest.mark.parametrize("name", ["\u0410cme", "Acm\u0435", "\u03b1cme", "\uff21cme", "A\u0441me Bank"])
def test_mixed_scripts_are_shown_as_such(name: str) -> None:
    assert "mixed scripts" in displayed(name)
    assert "U+" in displayed(name)
