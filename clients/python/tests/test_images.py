"""What a caller can give as an image, and what is said of everything else."""

from __future__ import annotations

import sys
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from anywidth import Image
from anywidth._images import load

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def decoded(content: bytes) -> PIL.Image.Image:
    return PIL.Image.open(BytesIO(content))


def test_files_are_passed_on_with_their_names(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"content")
    with path.open("rb") as file:
        images: list[Image] = [path, str(path), file]
        for image in images:
            loaded = load(image)
            assert (loaded.content, loaded.name) == (b"content", "a.png")
    assert load(BytesIO(b"content")).name is None


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[:, :, 0], PIXELS[::-1, ::2]], ids=["rgb", "grey", "strided"])
def test_arrays_keep_every_pixel(pixels: np.ndarray) -> None:
    assert np.array_equal(np.asarray(decoded(load(pixels).content)), pixels)


@pytest.mark.parametrize("pixels", [PIXELS / 255, PIXELS[None], PIXELS[:, :, :2], PIXELS[:0]])
def test_other_arrays_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"uint8 \[H, W\] or \[H, W, 3\], not"):
        load(pixels)


def test_an_array_without_pillow_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r"pip install 'anywidth\[images\]'"):
        load(PIXELS)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_pillow_images_of_any_mode_are_encoded(mode: str) -> None:
    content = load(PIL.Image.new(mode, (6, 4))).content
    assert (decoded(content).format, decoded(content).size) == ("PNG", (6, 4))


def test_the_orientation_of_a_photograph_is_kept() -> None:
    photograph, turned = BytesIO(), PIL.Image.Exif()
    turned[0x0112] = 6
    PIL.Image.fromarray(PIXELS).save(photograph, "JPEG", exif=turned)
    assert decoded(load(decoded(photograph.getvalue())).content).size == (4, 6)


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(TypeError, match="binary mode"):
        load(StringIO("text"))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not list"):
        load([1, 2])  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        load("no such file.png")
