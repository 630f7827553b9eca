"""An ONNX graph as a module: equal to onnxruntime on real networks, differentiable, independent of batch and mode."""

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from facemin.autograd.module import OnnxModule
from facemin.models.onnx.graph import bottlenecks, extract, read_graph

RANDOM_SEED = 11


class Builder:
    """A network as InsightFace exports it, with random weights."""

    def __init__(self, side: int, *, batch: str | int = "batch") -> None:
        self.side, self.batch = side, batch
        self.random = np.random.default_rng(RANDOM_SEED)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[TensorProto] = []
        self.last = "image"

    def held(self, array: np.ndarray[Any, Any]) -> str:
        self.weights.append(numpy_helper.from_array(array, f"w{len(self.weights)}"))
        return self.weights[-1].name

    def normal(self, *shape: int, scale: float = 1.0, mean: float = 0.0) -> str:
        return self.held((self.random.normal(size=shape) * scale + mean).astype(np.float32))

    def add(self, op: str, *inputs: str, source: str | None = None, **attributes: Any) -> str:
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [source or self.last, *inputs], [name], **attributes))
        self.last = name
        return name

    def conv(self, fan_in: int, out: int, kernel: int, stride: int = 1, group: int = 1) -> str:
        weight = self.normal(out, fan_in // group, kernel, kernel, scale=(kernel**2 * fan_in / group) ** -0.5)
        pads = [kernel // 2] * 4
        return self.add("Conv", weight, group=group, strides=[stride] * 2, pads=pads, kernel_shape=[kernel] * 2)

    def norm(self, channels: int) -> str:
        variance = self.held(self.random.uniform(0.5, 2, channels).astype(np.float32))
        pair = [self.normal(channels, scale=0.1, mean=1), self.normal(channels, scale=0.3)]
        return self.add("BatchNormalization", *pair, self.normal(channels, scale=0.3), variance, epsilon=1e-5)

    def prelu(self, channels: int) -> str:
        return self.add("PRelu", self.normal(channels, 1, 1, scale=0.1, mean=0.25))

    def squeeze_excite(self, channels: int) -> str:
        before = self.last
        self.add("GlobalAveragePool")
        self.conv(channels, channels // 4, 1)
        self.add("Relu")
        self.conv(channels // 4, channels, 1)
        gate = self.add("Sigmoid")
        return self.add("Mul", gate, source=before)

    def ir_block(self, fan_in: int, out: int, stride: int, *, excite: bool) -> None:
        start = self.last
        self.norm(fan_in)
        self.conv(fan_in, out, 3)
        self.norm(out)
        self.prelu(out)
        self.conv(out, out, 3, stride)
        self.norm(out)
        body = self.squeeze_excite(out) if excite else self.last
        self.last = start
        if stride > 1 or fan_in != out:
            self.conv(fan_in, out, 1, stride)
            self.norm(out)
        self.add("Add", body)

    def model(self, opset: int = 11) -> onnx.ModelProto:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [self.batch, 3, self.side, self.side])
        result = helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "net", [image], [result], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=6)


def insightface(
    depths: tuple[int, ...] = (1, 2), *, excite: bool = False, side: int = 32, width: int = 8
) -> onnx.ModelProto:
    """IR-50's parts in IR-50's order, on few channels: BN both before and after convolutions that pad."""
    build = Builder(side)
    build.add("Sub", build.held(np.array(127.5, np.float32)))
    build.add("Mul", build.held(np.array(1 / 128, np.float32)))
    build.conv(3, width, 3)
    build.norm(width)
    build.prelu(width)
    channels = width
    for stage, depth in enumerate(depths):
        for block in range(depth):
            build.ir_block(channels, width << stage, 2 if block == 0 else 1, excite=excite)
            channels = width << stage
    build.norm(channels)
    build.add("Dropout")
    build.add("Flatten")
    size = channels * (side >> len(depths)) ** 2
    build.add("Gemm", build.normal(16, size, scale=size**-0.5), build.normal(16), transB=1)
    build.norm(16)
    return build.model()


def mobile(*, batch: str | int = "batch") -> onnx.ModelProto:
    """A depthwise block with Clip, a global depthwise convolution, and a reshape to a batch of one."""
    build = Builder(16, batch=batch)
    build.conv(3, 8, 3, 2)
    build.norm(8)
    build.nodes.append(helper.make_node("Clip", [build.last], ["clipped"], min=0.0, max=6.0))
    build.last = "clipped"
    build.conv(8, 8, 3, group=8)
    build.norm(8)
    build.add("LeakyRelu", alpha=0.2)
    build.conv(8, 12, 1)
    build.add("Conv", build.normal(12, 1, 8, 8, scale=0.1), group=12)
    build.add("Reshape", build.held(np.array([1, -1])))
    build.add("MatMul", build.normal(12, 6))
    build.add("Add", build.normal(6))
    build.add("LpNormalization", axis=1)
    return build.model(opset=10)


NETWORKS = {
    "IR": insightface(),
    "IR-SE": insightface(excite=True),
    "mobile": mobile(),
}


def run(model: onnx.ModelProto | Path, *images: torch.Tensor, output: str | None = None) -> torch.Tensor:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    data = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    feed = {value.name: image.numpy() for value, image in zip(session.get_inputs(), images, strict=True)}
    return torch.from_numpy(session.run(None if output is None else [output], feed)[0])


def faces(model: onnx.ModelProto, rows: int = 3) -> torch.Tensor:
    side = model.graph.input[0].type.tensor_type.shape.dim[3].dim_value
    return torch.rand(rows, 3, side, side, generator=torch.Generator().manual_seed(1)) * 255


def one_by_one(model: onnx.ModelProto, images: torch.Tensor, output: str | None = None) -> torch.Tensor:
    return torch.cat([run(model, image, output=output) for image in torch.split(images, 1)])


@pytest.mark.parametrize("name", NETWORKS)
class TestNetworksAsExported:
    def test_equals_onnxruntime(self, name: str) -> None:
        model = NETWORKS[name]
        images = faces(model)
        module = OnnxModule(read_graph(model.SerializeToString()))
        expected = one_by_one(model, images)
        torch.testing.assert_close(module(images), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))

    def test_runs_in_place_and_in_groups_equal_the_plain_run(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        module, images = OnnxModule(NETWORKS[name]), faces(NETWORKS[name], rows=7)
        plain = module(images.requires_grad_()).detach()
        monkeypatch.setattr("facemin.autograd.module.LARGEST_VALUE", 100_000)
        with torch.inference_mode():
            torch.testing.assert_close(module(images), plain, rtol=1e-5, atol=1e-5)

    def test_batch_equals_one_by_one(self, name: str) -> None:
        module, images = OnnxModule(NETWORKS[name]), faces(NETWORKS[name], rows=5)
        apart = torch.cat([module(image) for image in torch.split(images, 1)])
        torch.testing.assert_close(module(images), apart, rtol=1e-5, atol=1e-5)

    def test_gradient_of_one_row_does_not_reach_another(self, name: str) -> None:
        module, images = OnnxModule(NETWORKS[name]), faces(NETWORKS[name]).requires_grad_()
        module(images)[1].square().sum().backward()
        assert images.grad is not None
        assert images.grad[1].abs().max() > 0
        assert not images.grad[[0, 2]].any()

    def test_gradient_equals_finite_differences(self, name: str) -> None:
        module = OnnxModule(NETWORKS[name]).double()
        images = faces(NETWORKS[name], rows=1).double().requires_grad_()
        assert torch.autograd.gradcheck(module, (images,), fast_mode=True, atol=1e-4)

    def test_mode_and_weights_do_not_change(self, name: str) -> None:
        module, images = OnnxModule(NETWORKS[name]), faces(NETWORKS[name])
        before = module(images)
        held = [buffer.clone() for buffer in module.buffers()]
        module.train()
        kept = images.clone()
        assert torch.equal(module(images), before)
        assert torch.equal(images, kept)
        assert all(torch.equal(a, b) for a, b in zip(held, module.buffers(), strict=True))
        assert not list(module.parameters())
        assert not any(buffer.requires_grad for buffer in module.buffers())

    def test_cuts_compose_to_the_whole(self, name: str) -> None:
        model = NETWORKS[name]
        images, whole = faces(model), OnnxModule(model)(faces(model))
        places = bottlenecks(model)
        for place in places[:: max(len(places) // 6, 1)]:
            if place.name == places[-1].name:
                continue
            front = OnnxModule(extract(model, end=place.name))
            rest = OnnxModule(extract(model, start=place.name, end=places[-1].name))
            assert front.output_shape == place.shape == rest.input_shapes[0]
            torch.testing.assert_close(rest(front(images)), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
class TestLayers:
    def part(self, name: str) -> onnx.ModelProto:
        """The network with every value on its way out as an output."""
        *places, end = [place.name for place in bottlenecks(NETWORKS[name])]
        return extract(NETWORKS[name], end=end, layers=tuple(places))

    def test_each_equals_onnxruntime_with_and_without_gradients(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        part, images = self.part(name), faces(NETWORKS[name], rows=5)
        names = tuple(value.name for value in part.graph.output)
        module = OnnxModule(part, outputs=names)
        expected = [one_by_one(part, images, output) for output in names]
        runs = [module.layers(images), module.layers(images.clone().requires_grad_())]
        monkeypatch.setattr("facemin.autograd.module.LARGEST_VALUE", 100_000)
        runs.append(module.layers(images))
        assert module.output_shapes == tuple(tuple(value.shape[1:]) for value in expected)
        for layers in runs:
            for layer, value in zip(layers, expected, strict=True):
                torch.testing.assert_close(layer.detach(), value, rtol=1e-4, atol=1e-4 * float(value.abs().max()))

    def test_outputs_are_those_named_in_that_order(self, name: str) -> None:
        part, images = self.part(name), faces(NETWORKS[name])
        first, *_, last = (value.name for value in part.graph.output)
        module = OnnxModule(part, outputs=(last, first))
        late, early = module.layers(images)
        torch.testing.assert_close(early, OnnxModule(part)(images))
        torch.testing.assert_close(late, OnnxModule(NETWORKS[name])(images), rtol=1e-4, atol=1e-5)
        assert torch.equal(module(images), early)
        assert module.output_shape == early.shape[1:]
        assert len(OnnxModule(part).layers(images)) == 1

    def test_each_passes_gradients(self, name: str) -> None:
        part = self.part(name)
        module = OnnxModule(part, outputs=tuple(value.name for value in part.graph.output))
        images = faces(NETWORKS[name], rows=2).requires_grad_()
        layers = module.layers(images)
        for layer in layers:
            (slope,) = torch.autograd.grad(layer.square().sum(), images, retain_graph=True)
            assert slope.isfinite().all()
            assert slope.abs().sum() > 0

    def test_do_not_share_what_a_later_step_overwrites(self, name: str) -> None:
        part, images = self.part(name), faces(NETWORKS[name])
        module = OnnxModule(part, outputs=tuple(value.name for value in part.graph.output))
        for layer, value in zip(module.layers(images), part.graph.output, strict=True):
            torch.testing.assert_close(layer, OnnxModule(part, outputs=(value.name,))(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("group", [1, 2, 3, 5])
def test_no_row_of_a_batch_runs_alone(group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # a batch of one takes other kernels, and last bits would depend on where a batch was divided
    module, sizes, run_one = OnnxModule(NETWORKS["IR"]), [], OnnxModule._run

    def counted(module: OnnxModule, calls: Any, images: Any, held: Any) -> tuple[torch.Tensor, ...]:
        sizes.append(len(images[0]))
        return run_one(module, calls, images, held)

    monkeypatch.setattr(OnnxModule, "_run", counted)
    monkeypatch.setattr("facemin.autograd.module.LARGEST_VALUE", group * module._row_elements * 4)
    for rows in range(1, 14):
        sizes.clear()
        assert len(module(faces(NETWORKS["IR"], rows=rows))) == rows
        assert sum(sizes) == rows
        assert min(sizes) >= min(rows, 2)
        assert max(sizes) <= max(group, 3)


def test_a_batch_of_one_in_the_file_serves_any_batch() -> None:
    model = mobile(batch=1)
    images = faces(model, rows=4)
    torch.testing.assert_close(OnnxModule(model)(images), one_by_one(model, images), rtol=1e-4, atol=1e-5)


def test_normalisation_folds_where_exact_and_only_there() -> None:
    module = OnnxModule(insightface(depths=(1,)))
    # Sub and Mul before a convolution that pads, and each block's first BN, stay; every other BN is folded.
    assert len([call for call in module._calls if call.run is torch.addcmul]) == 2
    assert len(module._calls) == len(
        ["affine", "conv", "prelu", "bn", "conv", "prelu", "conv", "conv", "add", "flat", "fc"]
    )


def test_an_empty_batch_gives_an_empty_result() -> None:
    assert OnnxModule(NETWORKS["IR"])(torch.zeros(0, 3, 32, 32)).shape == (0, 16)


def test_copies_and_pickles_run_alike() -> None:
    module, images = OnnxModule(NETWORKS["mobile"]), faces(NETWORKS["mobile"])
    expected = module(images)
    assert torch.equal(copy.deepcopy(module)(images), expected)
    assert torch.equal(pickle.loads(pickle.dumps(module))(images), expected)


def test_a_value_that_a_view_still_needs_is_not_overwritten() -> None:
    build = Builder(6)
    start = build.conv(3, 4, 3)
    view = build.add("Slice", *(build.held(np.array([n])) for n in (0, 2, 1)), source=start)
    rectified = build.add("Relu", source=start)
    half = build.add("Slice", *(build.held(np.array([n])) for n in (2, 4, 1)), source=rectified)
    build.add("Concat", half, source=view, axis=1)
    model = build.model()
    images = faces(model)
    torch.testing.assert_close(OnnxModule(model)(images), run(model, images), rtol=1e-4, atol=1e-3)


class TestRefusals:
    def test_another_shape(self) -> None:
        module = OnnxModule(NETWORKS["IR"])
        with pytest.raises(
            ValueError, match=r"expected images of shape \(batch, \(3, 32, 32\)\), got \(2, 3, 31, 32\)"
        ):
            module(torch.zeros(2, 3, 31, 32))
        with pytest.raises(ValueError, match="got 2"):
            module(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32))

    def test_unknown_output(self) -> None:
        with pytest.raises(ValueError, match="nowhere"):
            OnnxModule(NETWORKS["IR"], outputs=("nowhere",))

    def test_a_value_that_is_no_output(self) -> None:
        inside = bottlenecks(NETWORKS["IR"])[2].name
        with pytest.raises(ValueError, match=inside):
            OnnxModule(NETWORKS["IR"], outputs=(inside,))

    def test_no_outputs(self) -> None:
        with pytest.raises(ValueError, match="expected outputs among"):
            OnnxModule(NETWORKS["IR"], outputs=())


def real_outputs(folder: Path) -> Iterator[tuple[Path, int, str]]:
    for path in sorted((folder / "models").glob("*.onnx")):
        inputs = 2 if path.stem.startswith("perceptual") else 1
        for value in read_graph(path, inputs=inputs).graph.output:
            yield path, inputs, value.name


def test_real_networks_equal_onnxruntime(shared: Path) -> None:
    seen = 0
    for path, inputs, output in real_outputs(shared):
        module = OnnxModule(read_graph(path, inputs=inputs), outputs=(output,))
        generator = torch.Generator().manual_seed(2)
        top = 1 if inputs == 2 else 255
        images = [torch.rand(2, *shape, generator=generator) * top for shape in module.input_shapes]
        expected = run(path, *images, output=output)
        error = (module(*images) - expected).abs().max() / expected.abs().max()
        assert error < 1e-4, f"{path.name}, {output}: {error}"
        seen += 1
    assert seen >= 13


def test_real_networks_cut_anywhere_compose_to_the_whole(shared: Path) -> None:
    model = read_graph(shared / "models" / "mobilefacenet-y1-ms1m-arcface.onnx")
    images, places = faces(model, rows=1), bottlenecks(model)
    whole = OnnxModule(model)(images)
    for place in places[:-1:6]:
        rest = OnnxModule(extract(model, start=place.name, end=places[-1].name))
        composed = rest(OnnxModule(extract(model, end=place.name))(images))
        assert (composed - whole).abs().max() / whole.abs().max() < 1e-5
