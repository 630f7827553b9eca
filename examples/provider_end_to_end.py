"""From nothing to a running provider that enrols two people, verifies and identifies them, and never sees a face.

    pip install 'facemin[service,bench]'
    python examples/provider_end_to_end.py

Without pseudonyms, which take another photo each time: the portraits below are one photo a person. Everything runs on
this machine, in a folder that is removed at the end. Without arguments two public-domain portraits
are taken that come with scikit-image (Eileen Collins, NASA) and matplotlib (Grace Hopper, US Navy); the probe is then
the same photo, darker and smaller. Give photos of your own, two each of two people, to see what it does with those:

    python examples/provider_end_to_end.py a1.jpg a2.jpg b1.jpg b2.jpg
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import facemin
from facemin.cli.demo.run import astronaut
from facemin.client.pins import Pins
from facemin.client.transport import ProviderError, Transport
from facemin.image import decode, encode


def run(*arguments: str) -> str:
    """A facemin command, as one would type it; what it prints."""
    print("$ facemin", *arguments)
    return subprocess.run(
        [sys.executable, "-m", "facemin", *arguments], check=True, text=True, stdout=subprocess.PIPE
    ).stdout


def start(home: str, port: int) -> subprocess.Popen[bytes]:
    """`facemin serve` in the background, once it is ready."""
    print(f"$ facemin serve --home {home} --port {port} &")
    server = subprocess.Popen(
        [sys.executable, "-m", "facemin", "serve", "--home", home, "--port", str(port), "--device", "cpu"],
        stderr=subprocess.DEVNULL,
    )
    probe = Transport(url=f"http://127.0.0.1:{port}", tries=1)
    for _ in range(600):
        try:
            probe("GET", "/v1/ready")
        except ProviderError:
            if server.poll() is not None:
                raise SystemExit(f"the server ended with status {server.returncode}") from None
            time.sleep(0.1)
        else:
            return server
    server.kill()
    raise SystemExit("the server was not ready within a minute")


def portraits(folder: Path) -> list[Path]:
    """Two photos each of two people."""
    from matplotlib import cbook

    hopper = Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    paths = []
    for name, source in (("collins", astronaut()), ("hopper", hopper)):
        pixels = decode(source).pixels
        image = Image.fromarray(pixels)
        smaller = np.asarray(image.resize((int(image.width * 0.8), int(image.height * 0.8)), Image.Resampling.BILINEAR))
        for number, picture in ((1, pixels), (2, np.rint(smaller * 0.85).astype(np.uint8))):
            paths.append(folder / f"{name}{number}.png")
            paths[-1].write_bytes(encode(picture))
    return paths


def main() -> None:
    """Run it all; ends with status 1 where something is not as it should be."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        photos = [Path(name) for name in sys.argv[1:5]] or portraits(folder)
        # the pins of this try belong to nobody
        os.environ["FACEMIN_HOME"] = str(folder / "client")
        home, port = str(folder / "acme"), int(os.environ.get("FACEMIN_PORT", "8471"))

        token = json.loads(
            run("provider", "init", "--provider", "Acme", "--home", home, "--model", "dlib-resnet29", "--json")
        )["token"]
        server = start(home, port)
        try:
            # an app gets a token of its own, with the scopes that it needs: facemin provider token add
            client = facemin.Client(f"http://127.0.0.1:{port}", token, pins=Pins(root=folder / "pins"), secret=None)
            key = client.key().manifest
            print(f"key {key.key_id} of {key.provider}, cut {key.cut}, expires {key.expires}")
            client.enrol("first", photos[0:1])
            client.enrol("second", photos[2:3])
            wrong = 0
            for claim, photo, expected in (
                ("first", photos[1], True),
                ("second", photos[3], True),
                ("first", photos[3], False),
            ):
                decision = client.verify(claim, photo)
                print(
                    f"verify {claim:6} with {photo.name:12} accepted {decision.accepted!s:5} cosine "
                    f"{decision.score:.3f}, threshold {decision.threshold:.3f} at FAR {decision.far:g}"
                )
                wrong += decision.accepted != expected
            best = client.identify(photos[1])[0][0]
            print(f"identify    {photos[1].name:16} nearest {best.person}, accepted {best.accepted}")
            wrong += best.person != "first" or not best.accepted
            wrong += not refuses_a_plain_face(client, photos[0])
            client.delete("first")
            wrong += [found.person for found in client.identify(photos[1])[0]] != ["second"]
            print("deleted first; identify no longer names them")
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
        print("all as expected" if not wrong else f"{wrong} answers were not as expected")
        sys.exit(1 if wrong or server.returncode else 0)


def refuses_a_plain_face(client: facemin.Client, photo: Path) -> bool:
    """What an app gets that forgot to protect."""
    import base64

    from facemin.face import Detector, crop

    face = encode(crop(photo, Detector()))
    upload = {"data": base64.b64encode(face).decode(), "key_id": client.key().manifest.key_id}
    sender = Transport(url=client.url, token=client.token)
    try:
        sender("POST", "/v1/collections/main/persons", {"person": "plain", "uploads": [upload]})
    except ProviderError as error:
        print(f"a plain face: {error.status} {error.code}: {error.message}")
        return error.code == "plain_face"
    return False


if __name__ == "__main__":
    main()
