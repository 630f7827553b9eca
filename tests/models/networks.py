"""Small networks of the kinds that people export: vision transformers, EdgeFace-like nets, channel attention."""

import contextlib
import io
import logging
import tempfile
import warnings
from pathlib import Path

import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE, WIDTH = 32, 16


class Attention(nn.Module):
    """timm's: one matrix for query, key and value, whose permutation moves the batch axis."""

    def __init__(self, *, fused: bool = False) -> None:
        super().__init__()
        self.qkv, self.proj, self.fused = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH), fused

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, 4, c // 4).permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            mixed = (q * (c // 4) ** -0.5 @ k.transpose(-2, -1)).softmax(dim=-1) @ v
        return self.proj.forward(mixed.transpose(1, 2).reshape(b, n, c))


class CrossCovariance(nn.Module):
    """XCiT's and EdgeFace's: attention between channels."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.temperature = nn.Parameter(torch.full((4, 1, 1), 1.3))

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, 4, c // 4).permute(2, 0, 3, 1, 4)
        q, k, v = (qkv[i].transpose(-2, -1) for i in range(3))
        attention = (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)) * self.temperature
        return self.proj.forward((attention.softmax(dim=-1) @ v).permute(0, 3, 1, 2).reshape(b, n, c))


class Transformer(nn.Module):
    """Patches, a class token, places, two blocks."""

    def __init__(self, *, fused: bool = False) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.places = nn.Parameter(torch.randn(1, 17, WIDTH) * 0.3)
        self.attention = nn.ModuleList(Attention(fused=fused) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(5))
        self.mlp = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, 32), nn.GELU(kind), nn.Linear(32, WIDTH)) for kind in ("none", "tanh")
        )
        self.head = nn.Linear(WIDTH, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        for i in range(2):
            x = x + self.attention[i](self.norms[2 * i](x))
            x = x + self.mlp[i](self.norms[2 * i + 1](x))
        return self.head.forward(self.norms[4](x)[:, 0])


class TorchTransformer(nn.Module):
    """torch's own layers: the batch axis goes second, and is merged with the heads."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 8, 8)
        self.attention = nn.MultiheadAttention(WIDTH, 4, batch_first=True)
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.patches(x).flatten(2).transpose(1, 2))
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head.forward(x.mean(1))


class EdgeNet(nn.Module):
    """EdgeFace's kinds of blocks: channels last, split depthwise convolutions, cross-covariance, factored linear."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, 4, 4)
        self.first = nn.LayerNorm(WIDTH, eps=1e-6)
        self.depthwise = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1, groups=4) for _ in range(3))
        self.attention, self.norm = CrossCovariance(), nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4, bias=False), nn.Linear(4, 32), nn.GELU(), nn.Linear(32, WIDTH))
        self.gamma = nn.Parameter(torch.full((WIDTH,), 0.4))
        self.head = nn.Linear(WIDTH, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(self.stem(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        parts, last = list(x.chunk(4, 1)), None
        for i in range(3):
            last = self.depthwise[i](parts[i] if last is None else parts[i] + last)
            parts[i] = last
        x = torch.cat(parts, 1)
        b, c, h, w = x.shape
        tokens = x.reshape(b, c, h * w).permute(0, 2, 1)
        tokens = tokens + self.gamma * self.attention(self.norm(tokens))
        tokens = tokens + self.gamma * self.mlp(tokens.reshape(b, h, w, c)).reshape(b, h * w, c)
        x = tokens.permute(0, 2, 1).reshape(b, c, h, w)
        return F.normalize(self.head(x.mean((-2, -1))))


class ChannelNet(nn.Module):
    """Normalisation by groups and by instance, ECA's convolution over channels, squeeze and excite."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, 3, 2, 1)
        self.groups, self.instance = nn.GroupNorm(4, WIDTH), nn.InstanceNorm2d(WIDTH, affine=True)
        self.eca = nn.Conv1d(1, 1, 3, padding=1, bias=False)
        self.gate = nn.Sequential(nn.Conv2d(WIDTH, 4, 1), nn.Mish(), nn.Conv2d(4, WIDTH, 1), nn.Hardsigmoid())
        self.head = nn.Linear(WIDTH, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.groups(self.stem(x)))
        y = F.adaptive_avg_pool2d(x, 1)
        x = x * self.eca(y.squeeze(-1).transpose(-1, -2)).transpose(-1, -2).unsqueeze(-1).sigmoid()
        x = F.hardswish(self.instance(x))
        x = x * self.gate(F.adaptive_avg_pool2d(x, 1))
        return self.head.forward(F.adaptive_avg_pool2d(F.max_pool2d(F.selu(x), 2), 1).flatten(1))


def exported(network: nn.Module, *, opset: int | None, dynamic: bool = True) -> onnx.ModelProto:
    """What torch's exporter writes: the older one at an opset, torch.export's with its default where None."""
    network.eval()
    image = torch.rand(1 if opset or not dynamic else 2, 3, SIDE, SIDE)
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            tempfile.TemporaryDirectory() as folder,
        ):
            warnings.simplefilter("ignore")
            if opset is None:
                shapes = ({0: torch.export.Dim("batch")},) if dynamic else None
                program = torch.onnx.export(network, (image,), dynamo=True, dynamic_shapes=shapes, verbose=False)
                assert program is not None
                model: onnx.ModelProto = program.model_proto
                return model
            path = Path(folder) / "exported.onnx"
            axes = {"input": {0: "batch"}, "out": {0: "batch"}} if dynamic else None
            torch.onnx.export(
                network,
                (image,),
                path,
                opset_version=opset,
                dynamo=False,
                dynamic_axes=axes,
                input_names=["input"],
                output_names=["out"],
            )
            return onnx.load(path)
    finally:
        logging.disable(level)


NETWORKS: dict[str, type[nn.Module]] = {
    "transformer": Transformer,
    "torch transformer": TorchTransformer,
    "edge": EdgeNet,
    "channels": ChannelNet,
}
