"""A model as one sealed folder: what is in it, and whether it may be trusted. Opens and writes bundles; runs no model.

    manifest.json         canonical JSON; the sha256 of its bytes is the bundle's hash, and so its name
    model.onnx            what answers
    weights.safetensors   what the next training starts from (optional)
    selftest.jpg          a photo that the model must answer rightly before it goes live (optional)
    MODEL_CARD.md         what the model is and is not, for people (optional)

A bundle is opened only when its hash, its schema and every file agree, and when nothing else lies in the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from leafloop.errors import BundleRejected, TaxonomyInvalid
from leafloop.taxonomy import Taxonomy
from leafloop.vision import onnx_check

MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 2**20  # a taxonomy, metrics and a package list are some 20 kB
MAX_BYTES = {  # every name that a bundle may hold, and how large it may be
    "model.onnx": onnx_check.MAX_BYTES,
    "weights.safetensors": 512 * 2**20,  # float32 weights and those of an averaged copy
    "selftest.jpg": 8 * 2**20,
    "MODEL_CARD.md": 256 * 2**10,
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Input(_Strict):
    """ONNX input float32 [batch, 3, size, size]: pixel / divide_by, channels in colour_order."""

    size: int = Field(ge=32, le=2048, multiple_of=32)
    colour_order: Literal["rgb", "bgr"]
    divide_by: float = Field(gt=0, le=65535)


class Output(_Strict):
    """Boxes in pixels of the input, then objectness if any, then a score of 0-1 a class."""

    layout: Literal["xyxy", "cxcywh"]
    objectness: bool
    orientation: Literal["channels_first", "anchors_first"]


class Tiling(_Strict):
    """tiles: the photo's own pixels, in tiles of the input's size. whole: the photo scaled to the input's size."""

    mode: Literal["tiles", "whole"]
    overlap: int = Field(ge=0, le=1024)


class Thresholds(_Strict):
    """Scores of 0-1; `iou` is the overlap from which two boxes of one class are one. See docs/MODEL_SPEC.md."""

    detect: float = Field(gt=0, lt=1)
    iou: float = Field(gt=0, lt=1)
    reliable: float = Field(gt=0, le=1)
    vouch_healthy_below: float | None = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _ordered(self) -> Thresholds:
        if self.reliable < self.detect:
            raise ValueError("'reliable' is below 'detect'")
        return self


class SelfTest(_Strict):
    """A photo in the bundle and the answer that the model gave to it when it was made."""

    photo: Literal["selftest.jpg"]
    class_name: str | None
    outcome: Literal["diseased", "healthy", "uncertain", "no_leaf"]


class FileFacts(_Strict):
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class Manifest(_Strict):
    """manifest.json. `metrics` and `lineage` are free JSON, kept for people; nothing here reads them."""

    format: Literal[1]
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    created_at: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)$")
    licence: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+() -]{0,127}$")
    taxonomy: dict[str, Any]
    input: Input
    output: Output
    tiling: Tiling
    thresholds: Thresholds
    metrics: dict[str, Any]
    lineage: dict[str, Any]
    selftest: SelfTest | None
    files: dict[str, FileFacts]

    @model_validator(mode="after")
    def _agrees(self) -> Manifest:
        if unknown := sorted(set(self.files) - set(MAX_BYTES)):
            raise ValueError(f"a bundle has no file {', '.join(map(repr, unknown))[:100]}")
        if "model.onnx" not in self.files or (self.selftest and self.selftest.photo not in self.files):
            raise ValueError("model.onnx or the self-test photo is not among the files")
        if self.tiling.overlap >= self.input.size:
            raise ValueError("tiles cannot overlap by their whole size")
        return self


@dataclass(frozen=True)
class Bundle:
    """A bundle that was verified. `hash` is the sha256 of manifest.json."""

    path: Path
    hash: str
    manifest: Manifest
    taxonomy: Taxonomy

    def read(self, name: str) -> bytes:
        """A file's bytes, verified again (the disk may have changed since). Raises `BundleRejected`."""
        facts = self.manifest.files.get(name)
        if facts is None:
            raise BundleRejected(f"The bundle {self.hash[:12]} has no {name}.")
        data = _read(self.path / name, facts.bytes)
        if len(data) != facts.bytes or hashlib.sha256(data).hexdigest() != facts.sha256:
            raise BundleRejected(
                f"{name} in the bundle {self.hash[:12]} is not what its manifest says: damaged or changed."
            )
        return data


def open_bundle(path: Path, *, expected_hash: str | None = None) -> Bundle:
    """Open and verify a bundle's folder. Raises `BundleRejected`, naming the first thing that is wrong.

    `expected_hash`: what the registry vouches for. Everything is checked but the answers of the model: that is the detector's.
    """
    raw = _read(path / MANIFEST, MAX_MANIFEST_BYTES)
    found = hashlib.sha256(raw).hexdigest()
    if expected_hash is not None and found != expected_hash:
        raise BundleRejected(
            f"The bundle's hash is {found[:12]}, and {expected_hash[:12]} was expected: it was changed."
        )
    manifest = _parse(raw)
    _check_names(path, {MANIFEST, *manifest.files})
    try:
        bundle = Bundle(path, found, manifest, Taxonomy.from_dict(manifest.taxonomy, where="the bundle's taxonomy"))
    except TaxonomyInvalid as error:
        raise BundleRejected(error.detail) from None
    for name in manifest.files:
        _check_content(bundle, name, bundle.read(name))
    return bundle


def _read(path: Path, limit: int) -> bytes:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise BundleRejected(f"{path.name} is a link or no plain file.")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise BundleRejected(f"{path.name} of the bundle cannot be read: {error.strerror}.") from None
    if len(data) > limit:
        raise BundleRejected(f"{path.name} of the bundle has over {limit} bytes.")
    return data


def _parse(raw: bytes) -> Manifest:
    try:
        data = json.loads(raw, parse_constant=_no_constant)
        if canonical(data) != raw:
            raise BundleRejected("manifest.json is not in canonical form (sorted keys, no spaces, one line).")
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'manifest'}: {e['msg']}" for e in error.errors()[:5])
        raise BundleRejected(f"manifest.json cannot be used: {places}.") from None
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, NaN, or nested beyond reason
        raise BundleRejected(f"manifest.json is not plain JSON: {str(error)[:100]}") from None
    if too_large := [n for n, f in manifest.files.items() if f.bytes > MAX_BYTES[n]]:
        raise BundleRejected(f"{too_large[0]} has over {MAX_BYTES[too_large[0]]} bytes.")
    return manifest


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def canonical(data: object) -> bytes:
    """The one way in which a manifest is written, so that equal facts have equal hashes."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _check_names(path: Path, expected: set[str]) -> None:
    there = {entry.name for entry in path.iterdir()}
    if extra := sorted(there - expected):
        raise BundleRejected(f"The bundle holds files that its manifest does not name: {', '.join(extra)[:200]}.")
    if missing := sorted(expected - there):
        raise BundleRejected(f"The bundle lacks {', '.join(missing)}.")


def _check_content(bundle: Bundle, name: str, data: bytes) -> None:
    if name == "model.onnx":
        _check_shapes(bundle, onnx_check.check(data))
    if name == "weights.safetensors" and not (data[8:9] == b"{" and int.from_bytes(data[:8], "little") < len(data)):
        raise BundleRejected("weights.safetensors is not a safetensors file (a pickle is never taken).")
    if name == "selftest.jpg" and not data.startswith(b"\xff\xd8\xff"):
        raise BundleRejected("selftest.jpg is not a JPEG.")


def _check_shapes(bundle: Bundle, facts: onnx_check.OnnxFacts) -> None:
    """What the ONNX declares against what the manifest says. Sides that it leaves open are measured when it is loaded."""
    size, output = bundle.manifest.input.size, bundle.manifest.output
    if any(side not in (size, None) for side in facts.input_shape[2:]):
        raise BundleRejected(f"The ONNX takes images of {facts.input_shape[2:]} pixels, the manifest says {size}.")
    wide = 4 + output.objectness + len(bundle.taxonomy.classes)
    declared = facts.output_shape[1 if output.orientation == "channels_first" else 2]
    if declared not in (wide, None):
        raise BundleRejected(
            f"The ONNX gives {declared} values a box where the manifest needs {wide}: 4 for the box, "
            f"{int(output.objectness)} for objectness, {len(bundle.taxonomy.classes)} classes of {bundle.taxonomy.name}."
        )


def write_bundle(folder: Path, facts: Mapping[str, Any], files: Mapping[str, bytes | Path]) -> Bundle:
    """Write a bundle to `folder`, whole or not at all, and open it. Raises `BundleRejected` as `open_bundle` does.

    `facts`: the manifest without `format` and `files`. `files`: name -> bytes, or a path to copy from. Writing the same
    bundle again changes nothing; another bundle in the same place is refused.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        written = {name: _write(temporary, name, content) for name, content in files.items()}
        _write(temporary, MANIFEST, canonical({**facts, "format": 1, "files": written}))
        bundle = open_bundle(temporary)
        temporary.chmod(0o755)
        _put(temporary, folder, bundle.hash)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Bundle(folder, bundle.hash, bundle.manifest, bundle.taxonomy)


def _write(folder: Path, name: str, content: bytes | Path) -> dict[str, Any]:
    if name not in {MANIFEST, *MAX_BYTES}:
        raise BundleRejected(f"A bundle has no file {name[:64]!r}.")
    data = content if isinstance(content, bytes) else content.read_bytes()
    with (folder / name).open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _put(temporary: Path, folder: Path, bundle_hash: str) -> None:
    try:
        temporary.rename(folder)
    except OSError:  # it is there already: fine if it is the same
        if not (folder / MANIFEST).is_file():
            raise
        open_bundle(folder, expected_hash=bundle_hash)
        return
    for directory in (folder, folder.parent):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
