"""Stands in for torchvision where it is absent, and only there: the CPU wheel of torch has no torchvision beside it.

The four functions of `torchvision.ops` that training and validation call are made of torch operations (our own code). Every
other name can be imported or subclassed and raises when it is called, so that a silent gap is not possible.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from typing import Any, NoReturn

import torch
from torch import Tensor

VERSION = "0.28.0"  # the torchvision release that belongs to torch 2.13; libraries read it at import


def box_area(boxes: Tensor) -> Tensor:
    """Area of boxes [n, 4] in xyxy: [n]."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def box_iou(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of boxes [n, 4] and [m, 4]: [n, m]."""
    low, high = torch.maximum(one[:, None, :2], other[:, :2]), torch.minimum(one[:, None, 2:], other[:, 2:])
    shared = (high - low).clamp(min=0).prod(2)
    return shared / (box_area(one)[:, None] + box_area(other) - shared)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Greedy suppression: indices of the boxes kept, best first. Takes away what overlaps a kept box by more than the threshold."""
    order = scores.argsort(descending=True, stable=True)
    kept: list[Tensor] = []
    while order.numel():
        best, rest = order[0], order[1:]
        kept.append(best)
        order = rest[box_iou(boxes[best][None], boxes[rest])[0] <= iou_threshold]
    return torch.stack(kept) if kept else order


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """`nms` within each group of `idxs` alone: groups are moved apart so that they cannot meet."""
    if not boxes.numel():
        return torch.empty(0, dtype=torch.int64)
    return nms(boxes + (idxs.to(boxes) * (boxes.max() + 1))[:, None], scores, iou_threshold)


class _NamesAnything(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _NamesAnything(name, (), {})


class _Absent(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def refuse(*_: object, **__: object) -> NoReturn:
            raise RuntimeError(f"torchvision is not installed, and the stand-in has no {self.__name__}.{name}")

        return _NamesAnything(name, (), {"__init__": refuse})


class _Finder:
    def find_spec(self, name: str, _path: Sequence[str] | None = None, _target: object = None) -> ModuleSpec | None:
        ours = name.split(".")[0] == "torchvision"
        return ModuleSpec(name, self, is_package=True) if ours else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return _Absent(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        if module.__name__ in ("torchvision.ops", "torchvision.ops.boxes"):
            module.__dict__.update(nms=nms, batched_nms=batched_nms, box_area=box_area, box_iou=box_iou)
        if module.__name__ == "torchvision":
            module.__dict__["__version__"] = VERSION


def install() -> bool:
    """Put the stand-in in place unless the real torchvision is there; whether it was put."""
    if "torchvision" in sys.modules or importlib.util.find_spec("torchvision"):
        return False
    sys.meta_path.append(_Finder())
    return True
