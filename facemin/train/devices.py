"""Devices of a run: one, or as many as torchrun started processes for."""

from __future__ import annotations

import logging
import os
import warnings
from typing import TYPE_CHECKING

from facemin.runtime.device import choose_device

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def launch(device: str, *, precision: str) -> Fabric:
    """Set up the devices of a run, and wait for the other processes where there are any.

    Under torchrun each process takes one device of the kind named; alone it takes the one named.

    Args:
        device: "auto", "cpu", "cuda", "cuda:1", ...; see `choose_device`.
        precision: "32-true" or "bf16-mixed".

    Raises:
        ValueError: the extra `train` is not installed, or the device is not there.
    """
    try:
        import lightning_fabric
    except ImportError:
        raise ValueError("training needs lightning-fabric: pip install 'facemin[train]'") from None
    # its remarks on how it set itself up are not what a user of ours asked for
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    chosen = choose_device(device)
    processes, local = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    devices: int | list[int] = [chosen.index] if processes == 1 and chosen.index is not None else local
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fabric = lightning_fabric.Fabric(
            accelerator=chosen.type,
            devices=devices,
            num_nodes=processes // local,
            strategy="ddp" if processes > 1 else "auto",
            precision="bf16-mixed" if precision == "bf16-mixed" else "32-true",
        )
        fabric.launch()
    return fabric


def is_first_process() -> bool:
    """Whether this process is the one that writes and talks."""
    return os.environ.get("RANK", "0") == "0"
