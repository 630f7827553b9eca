"""dlib's ResNet-29: its bytes, its graph, and whether it recognises people."""

import numpy as np
import onnx
import pytest
import torch
from torch.nn import functional as F

from facemin.models import dlib_resnet, load_recogniser
from facemin.models.dlib_resnet import resampling
from facemin.runtime.inference_session import inference_session


@pytest.fixture(scope="module")
def data() -> bytes:
    return dlib_resnet.weights_path().read_bytes()


def test_every_weight_is_read(data: bytes) -> None:
    convolutions, matrix = dlib_resnet.read_weights(data)
    assert len(convolutions) == 29
    assert matrix.shape == (256, 128)
    # the file holds 5,614,592 values; each of the affine layers' 2 x width values went into a convolution
    affine = sum(2 * len(biases) for _, biases in convolutions)
    assert sum(w.size + b.size for w, b in convolutions) + matrix.size + affine == 5_614_592


def test_first_values_by_hand(data: bytes) -> None:
    convolutions, _ = dlib_resnet.read_weights(data)
    at = data.index(b"\x05con_4\x01\x02\x02\x80\x12\x01\x01\x01\x01\x01\x01") + 17
    count = 32 * 3 * 7 * 7
    raw = np.frombuffer(data, "<f4", count + 32, at)
    affine = data.index(b"\x07affine_", at) + len(b"\x07affine_\x01\x02\x01\x40\x01\x01\x01\x01\x01\x01")
    gamma, beta = np.frombuffer(data, "<f4", 64, affine).reshape(2, 32)
    weights, biases = convolutions[0]
    np.testing.assert_allclose(weights[5, 2, 3, 4], raw[5 * 147 + 2 * 49 + 3 * 7 + 4] * gamma[5], rtol=1e-6)
    np.testing.assert_allclose(biases, raw[count:] * gamma + beta, rtol=1e-5)


def test_the_network_on_chips_is_the_same_as_on_aligned_faces(data: bytes) -> None:
    faces = np.random.default_rng(0).random((2, 3, 112, 112), dtype=np.float32)
    across, down = (resampling(at) for at in dlib_resnet.WINDOW_CENTRE)
    mean = np.array(dlib_resnet.MEAN, np.float32).reshape(3, 1, 1) / 256
    chips = (down @ faces @ across.T) * np.float32(255 / 256) - mean
    whole, of_chip = (
        inference_session(graph.SerializeToString(), threads=1).run(None, {name: values})[0]
        for graph, name, values in (
            (dlib_resnet.graph(data), "faces", faces),
            (dlib_resnet.chip_graph(data), "chip", chips),
        )
    )
    np.testing.assert_allclose(whole, of_chip, atol=1e-5)


@pytest.mark.parametrize("keep", [0, 100, 20_000, 1_000_000, 22_400_000])
def test_refuses_a_truncated_file(data: bytes, keep: int) -> None:
    with pytest.raises(ValueError, match="dlib ResNet-29"):
        dlib_resnet.read_weights(data[:keep])


def test_refuses_weights_that_are_not_finite(data: bytes) -> None:
    at = data.index(b"\x05con_4") + 17
    with pytest.raises(ValueError, match="finite"):
        dlib_resnet.read_weights(data[:at] + np.float32(np.inf).tobytes() + data[at + 4 :])


def test_refuses_another_shape(data: bytes) -> None:
    with pytest.raises(ValueError, match="con_4"):
        dlib_resnet.read_weights(data.replace(b"\x05con_4\x01\x02\x02\x80\x12", b"\x05con_4\x01\x02\x02\x81\x12", 1))


def test_graph_is_valid_and_equals_onnxruntime() -> None:
    model = dlib_resnet.graph()
    onnx.checker.check_model(model, full_check=True)
    faces = torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    session = inference_session(model.SerializeToString(), threads=1)
    (oracle,) = session.run(None, {"faces": faces.numpy()})
    ours = load_recogniser("dlib-resnet29")(faces)
    torch.testing.assert_close(ours, F.normalize(torch.from_numpy(oracle)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("centre", dlib_resnet.WINDOW_CENTRE)
def test_resampling_is_bilinear_with_the_border_repeated(centre: float) -> None:
    weights = resampling(centre)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    assert ((weights > 0).sum(1) <= 2).all()
    # a ramp stays a ramp inside, and the border's value outside
    step = dlib_resnet.WINDOW / dlib_resnet.CHIP
    expected = np.arange(150) * step + step / 2 + centre - dlib_resnet.WINDOW / 2
    np.testing.assert_allclose(weights @ np.arange(112), expected.clip(0, 111), atol=1e-4)


def test_cuts_have_the_shapes_of_the_paper_network() -> None:
    shapes = {cut.name: cut.shape for cut in load_recogniser("dlib-resnet29").cuts}
    assert tuple(shapes) == dlib_resnet.CUTS
    assert shapes["conv7"] == (32, 72, 72)
    assert shapes["conv32.3"] == (32, 35, 35)
    assert shapes["conv64.4"] == (64, 17, 17)
    assert shapes["conv128.3"] == (128, 8, 8)
    assert shapes["conv256.3"] == (256, 4, 4)
    assert shapes["conv256.4"] == (256, 2, 2)
