"""The page's camera, by Chromium's fake device and a video made of stills."""

import io
from collections.abc import Iterator
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
from tests.page.provider import address, session
from tests.page.recorder import noting_others, recording
from tests.page.test_page import LOAD, begin, check_traffic, send, verdict
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


@pytest.fixture(scope="module")
def filmed(stills: tuple[Path, Path], others: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose camera sees the second photo, each frame with noise of its own."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    video = tmp_path_factory.mktemp("video") / "camera.mjpeg"
    still = np.asarray(Image.open(stills[1]), np.float64)
    noise = np.random.default_rng(0)
    with video.open("wb") as file:
        for _ in range(FRAMES):
            frame = np.clip(still + noise.normal(0, 2, still.shape), 0, 255).astype(np.uint8)
            coded = io.BytesIO()
            Image.fromarray(frame).save(coded, "JPEG", quality=90)
            file.write(coded.getvalue())
    fake = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={video}")
    with noting_others(others) as port, browsing(f"--proxy-server=http://127.0.0.1:{port}", *fake) as made:
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
        begin(page, address(page_server.url, session(page_server, "unfilmed"), "unfilmed"))
        page.click("button", "Use the camera", seconds=LOAD)
        page.read("The camera cannot be used", seconds=LOAD)
        assert page.faults() == []
