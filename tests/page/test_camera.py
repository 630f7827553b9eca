"""The page's camera, by Chromium's fake device and a video made of stills."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemin.datasets import LFW
from facemin.face import Detector, crop
from facemin.image import decode
from tests.conftest import REPOSITORY
from tests.page.browser import PHONE, Browser, browsing, missing
from tests.page.leaks import Subject
from tests.page.provider import address, link, session
from tests.page.recorder import noting_others, recording
from tests.page.test_page import LOAD, begin, begin_enrolled, check_traffic, ready, send, show_code, verdict
from tests.service.running import Running

SIZE = (640, 480)
FRAMES = 30
LFW_ROOT = REPOSITORY.parent / "shared" / "data" / "lfw"


@pytest.fixture(scope="module")
def stills(photos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A photo of a person, and another one as a camera sees it: of LFW where that is there, else those of the demo."""
    if LFW_ROOT.is_dir():
        by_person: dict[str, list[Path]] = {}
        for photo in LFW(LFW_ROOT):
            by_person.setdefault(photo.identity, []).append(LFW_ROOT / photo.path)
        first, second = next(paths[:2] for person, paths in sorted(by_person.items()) if len(paths) == 5)
    else:
        first, second = photos["collins-1"], photos["collins-2"]
    picture = Image.open(second).convert("RGB")
    scale = min(SIZE[0] / picture.width, SIZE[1] / picture.height)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
    frame = Image.new("RGB", SIZE, (90, 90, 90))
    frame.paste(picture, ((SIZE[0] - picture.width) // 2, (SIZE[1] - picture.height) // 2))
    path = tmp_path_factory.mktemp("stills") / "frame.jpg"
    frame.save(path, quality=95)
    return first, path


@contextmanager
def filming(still: Image.Image, video: Path, others: list[str]) -> Iterator[Browser]:
    """A browser whose camera sees a picture, each frame with noise of its own."""
    pixels, noise = np.asarray(still, np.float64), np.random.default_rng(0)
    with video.open("wb") as file:
        for _ in range(FRAMES):
            frame = np.clip(pixels + noise.normal(0, 2, pixels.shape), 0, 255).astype(np.uint8)
            coded = io.BytesIO()
            Image.fromarray(frame).save(coded, "JPEG", quality=90)
            file.write(coded.getvalue())
    fake = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={video}")
    with noting_others(others) as port, browsing(f"--proxy-server=http://127.0.0.1:{port}", *fake) as made:
        yield made


@pytest.fixture(scope="module")
def filmed(stills: tuple[Path, Path], others: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose camera sees the second photo."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    video = tmp_path_factory.mktemp("video") / "camera.mjpeg"
    with filming(Image.open(stills[1]), video, others) as made:
        yield made


def test_camera_verification_sends_no_frame(
    filmed: Browser, page_server: Running, stills: tuple[Path, Path], elsewhere: list[str]
) -> None:
    token = session(page_server, "filmed")
    with (
        recording(page_server.port) as recorder,
        filmed.page(PHONE, camera_of=recorder.url) as page,
    ):
        begin(page, address(recorder.url, token, "filmed"))
        send(page, stills[0], "Enrol", "You are enrolled")
        page.click("button", "Use the camera", seconds=LOAD)
        page.read("Good: hold still and take the picture", seconds=LOAD)
        assert page.faults() == []
        assert page.overflow() <= 0
        page.click("button", "Take the picture")
        page.click("button", "Verify", seconds=LOAD)
        verdict(page, "Yes, it is you")
        # the camera is off once the picture is taken
        assert page.evaluate("document.querySelector('video').srcObject") is None
    assert page.said == []
    detector = Detector(threads=1)
    seen = [Subject("frame", decode(stills[1]).pixels), Subject("face", crop(stills[1], detector))]
    first = [Subject("photo", decode(stills[0]).pixels), Subject("its face", crop(stills[0], detector))]
    assert len(check_traffic(recorder, elsewhere, seen + first)) == 2


def test_a_camera_that_may_not_be_used_is_said_to(browser: Browser, page_server: Running) -> None:
    with browser.page() as page:
        begin(page, link(page_server, "unfilmed"))
        page.click("button", "Use the camera", seconds=LOAD)
        page.read("The camera cannot be used", seconds=LOAD)
        assert page.faults() == []


def test_a_secret_is_imported_by_scanning_its_qr_code(
    browser: Browser, page_server: Running, photos: dict[str, Path], others: list[str], tmp_path: Path
) -> None:
    """The code that one page shows, a little askew, is what another one's camera sees."""
    where = link(page_server, "code")
    with browser.page() as page:
        begin_enrolled(page, where, photos["collins-1"])
        show_code(page)
        shown = page.evaluate("document.querySelector('canvas.code').toDataURL()").partition(",")[2]
    code = Image.open(io.BytesIO(base64.b64decode(shown))).convert("RGB").resize((300, 300))
    frame = Image.new("RGB", SIZE, (90, 90, 90))
    frame.paste(code, (170, 90))
    turned = frame.rotate(7, fillcolor=(90, 90, 90))
    with (
        filming(turned, tmp_path / "code.mjpeg", others) as filmed,
        filmed.page(PHONE, camera_of=page_server.url) as page,
    ):
        ready(page, where)
        page.unfold("I have one already")
        page.click("button", "Scan its code with the camera")
        verdict(page, "Your secret is here now")
        # it is off once the code was read
        assert page.evaluate("[...document.querySelectorAll('video')].every((each) => each.srcObject === null)")
        assert page.faults() == []
        send(page, photos["collins-2"], "Verify", "Yes, it is you")
    assert page.said == []


def test_scanning_without_a_qr_code_goes_on_until_stopped(filmed: Browser, page_server: Running) -> None:
    """The camera sees a face."""
    with filmed.page(PHONE, camera_of=page_server.url) as page:
        ready(page, link(page_server, "none"))
        page.unfold("I have one already")
        page.click("button", "Scan its code with the camera")
        page.read("Hold the code into the camera")
        page.click("button", "Stop")
        assert not page.sees("button", "Stop")
        assert page.evaluate("document.activeElement.innerText") == "Scan its code with the camera"
