"""Writes GGUF files, as far as a small model of one's own needs it.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 3
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_ALIGNMENT = 32
_FLOAT32 = 0

Value = bool | int | float | str | list[int] | list[str]


class Tensor(NamedTuple):
    """Numbers, the rows one after the other; `shape` begins with a row's length."""

    shape: tuple[int, ...]
    numbers: array[float]


def zeros(*shape: int) -> Tensor:
    return _filled(0.0, shape)


def ones(*shape: int) -> Tensor:
    return _filled(1.0, shape)


def write(path: Path, metadata: Mapping[str, Value], tensors: Mapping[str, Tensor]) -> None:
    head = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    head += [_string(name) + _value(value) for name, value in metadata.items()]
    data: list[bytes] = []
    offset = 0
    for name, (shape, numbers) in tensors.items():
        head.append(_string(name) + struct.pack("<I", len(shape)))
        head.append(struct.pack(f"<{len(shape)}QIQ", *shape, _FLOAT32, offset))
        data.append(_aligned(numbers.tobytes()))
        offset += len(data[-1])
    path.write_bytes(_aligned(b"".join(head)) + b"".join(data))


def _filled(number: float, shape: tuple[int, ...]) -> Tensor:
    size = 1
    for length in shape:
        size *= length
    return Tensor(shape, array("f", [number]) * size)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Value) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _string(value)
    return struct.pack("<I", 9) + _items(value)


def _items(items: Sequence[int] | Sequence[str]) -> bytes:
    if all(isinstance(each, str) for each in items):
        strings = [_string(str(each)) for each in items]
        return struct.pack("<IQ", 8, len(items)) + b"".join(strings)
    return struct.pack(f"<IQ{len(items)}i", 5, len(items), *map(int, items))


def _aligned(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNMENT)
