"""Images as a caller has them, to the bytes of an image file."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Union, runtime_checkable

if TYPE_CHECKING:
    import PIL.Image

# Modes that PNG stores and the server reads; others become RGB.
_PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA"}


@runtime_checkable
class BinaryFile(Protocol):
    """A file object that was opened for reading bytes."""

    def read(self) -> bytes:
        """The bytes from its position to its end."""


@runtime_checkable
class Array(Protocol):
    """A numpy array, or another object with its array interface."""

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """Shape, type and memory, as numpy defines them."""


Image = Union[bytes, bytearray, memoryview, str, "os.PathLike[str]", BinaryFile, "PIL.Image.Image", Array]
"""The bytes of a JPEG, PNG or WebP file, a path to one, a binary file object, a Pillow image, or a uint8 array [H, W]
or [H, W, 3]."""


@dataclass(frozen=True)
class ImageFile:
    """The bytes of an image file, and its name if it has one."""

    content: bytes
    name: str | None = None


def load(image: Image) -> ImageFile:
    """Reads or encodes an image.

    Raises:
        OSError: a file cannot be read.
        TypeError: this is no image of a known kind.
        ValueError: an array has another shape or type than uint8 [H, W] or [H, W, 3].
        ImportError: an array is given and Pillow, which encodes it, is not installed.
    """
    if isinstance(image, (bytes, bytearray, memoryview)):
        return ImageFile(bytes(image))
    if isinstance(image, (str, os.PathLike)):
        path = Path(image)
        return ImageFile(path.read_bytes(), path.name)
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(image, pillow.Image):
        return ImageFile(_png(image))
    if isinstance(image, Array):
        return ImageFile(_png(_from_array(image)))
    if isinstance(image, BinaryFile):
        return _read(image)
    raise TypeError(
        f"an image is bytes, a path, a binary file, a Pillow image or a uint8 array, not {type(image).__name__}"
    )


def _read(file: BinaryFile) -> ImageFile:
    content = file.read()
    if not isinstance(content, bytes):
        raise TypeError("the file is opened as text; open it in binary mode, as open(path, 'rb')")
    name = getattr(file, "name", None)  # A number for some.
    return ImageFile(content, Path(name).name if isinstance(name, str) else None)


def _from_array(array: Array) -> PIL.Image.Image:
    interface = array.__array_interface__
    shape, kind = interface["shape"], interface["typestr"]
    if kind != "|u1" or 0 in shape or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)):
        raise ValueError(f"an array is uint8 [H, W] or [H, W, 3], not {kind} {list(shape)}")
    try:
        import PIL.Image
    except ImportError as error:
        raise ImportError("Pillow encodes arrays and is not installed: pip install 'anywidth[images]'") from error
    return PIL.Image.fromarray(array)


def _png(image: PIL.Image.Image) -> bytes:
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)  # PNG would lose the orientation, which the server honours.
    if image.mode not in _PNG_MODES:
        image = image.convert("RGB")
    file = BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()
