"""Draws the sample images beside it; needs Pillow. They are ours, so the repository may carry them."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

HERE = Path(__file__).parent
# Everything is drawn large and then shrunk, which smooths its edges.
SCALE = 16


def canvas(mode: str, side: int, background) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new(mode, (side * SCALE, side * SCALE), background)
    return image, ImageDraw.Draw(image)


def scaled(*points: tuple[float, float]) -> list[tuple[float, float]]:
    return [(x * SCALE, y * SCALE) for x, y in points]


def seven() -> Image.Image:
    """A handwritten digit as in MNIST: white on black, inside the middle 20 x 20 of 28 x 28 pixels."""
    image, draw = canvas("L", 28, 0)
    stroke = scaled((7.5, 8), (13, 7.6), (19.5, 7.5), (17, 12.5), (14.5, 17), (12.5, 22.5))
    width = int(2.4 * SCALE)
    draw.line(stroke, fill=255, width=width, joint="curve")
    for x, y in stroke:
        draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
    return image.resize((28, 28), Image.Resampling.BOX)


def shirt() -> Image.Image:
    """A T-shirt as in Fashion-MNIST: light on black, filling 28 x 28 pixels."""
    image, draw = canvas("L", 28, 0)
    body = [(10, 1.5), (12, 3), (16, 3), (18, 1.5), (21.5, 2.8), (26, 9), (22.5, 11.5), (20.3, 9.5), (20.5, 26.5)]
    body += [(7.5, 26.5), (7.7, 9.5), (5.5, 11.5), (2, 9), (6.5, 2.8)]
    draw.polygon(scaled(*body), fill=190)
    draw.line(scaled((10, 1.5), (12, 3.4), (16, 3.4), (18, 1.5)), fill=140, width=SCALE)
    for left, right in (((7.7, 9.5), (6.9, 5)), ((20.3, 9.5), (21.1, 5))):
        draw.line(scaled(left, right), fill=150, width=SCALE // 2)
    for x, shade in ((10, 178), (13.5, 205), (17, 180)):
        draw.rectangle((*scaled((x, 9))[0], *scaled((x + 1.2, 26))[0]), fill=shade)
    return image.filter(ImageFilter.GaussianBlur(SCALE / 3)).resize((28, 28), Image.Resampling.BOX)


def ship() -> Image.Image:
    """A ship at sea, in colour, 128 x 128 pixels: the server shrinks it to what its model reads."""
    image, draw = canvas("RGB", 32, (150, 185, 220))
    for row in range(32 * SCALE):
        y = row / SCALE
        sky, sea = (int(120 + 4 * y), int(165 + 3 * y), int(215 + y)), (int(60 - y / 2), int(105 - y / 2), int(150 - y))
        draw.line((0, row, 32 * SCALE, row), fill=sky if y < 21 else sea)
    draw.polygon(scaled((2, 17.5), (30, 16.8), (27, 23.5), (5.5, 23.5)), fill=(45, 50, 70))
    draw.polygon(scaled((4.4, 21.8), (27.8, 21.8), (27, 23.5), (5.5, 23.5)), fill=(150, 45, 40))
    draw.rectangle((*scaled((8, 13.5))[0], *scaled((22, 17.3))[0]), fill=(235, 235, 230))
    draw.rectangle((*scaled((10, 10.5))[0], *scaled((18, 13.5))[0]), fill=(225, 225, 222))
    draw.rectangle((*scaled((12.5, 6))[0], *scaled((15.5, 10.5))[0]), fill=(190, 60, 45))
    draw.line(scaled((24, 16.9), (24, 8)), fill=(90, 85, 80), width=SCALE // 2)
    for x in range(9, 22, 2):
        draw.rectangle((*scaled((x, 14.6))[0], *scaled((x + 0.9, 15.6))[0]), fill=(70, 90, 110))
    for x, y in ((3, 24), (11, 25.5), (20, 24.6), (26, 27), (6, 28.5), (16, 29.5)):
        draw.line(scaled((x, y), (x + 3.5, y - 0.2)), fill=(130, 165, 195), width=SCALE // 3)
    return image.filter(ImageFilter.GaussianBlur(SCALE / 4)).resize((128, 128), Image.Resampling.BOX)


def frog() -> Image.Image:
    """A frog, in colour, 128 x 128 pixels: narrow widths take it for something else, and so show what width is for."""
    image, draw = canvas("RGB", 32, (90, 110, 80))
    skin = (95, 150, 60)
    draw.ellipse(scaled((2, 23), (30, 31)), fill=(100, 90, 70))
    for box in (((7, 12), (25, 29)), ((7, 7), (14, 15)), ((18, 7), (25, 15))):
        draw.ellipse(scaled(*box), fill=skin)
    for x in (10.5, 21.5):
        draw.ellipse(scaled((x - 1.5, 9), (x + 1.5, 12)), fill=(230, 210, 120))
        draw.ellipse(scaled((x - 1, 9.5), (x + 1, 11.5)), fill=(10, 10, 10))
    draw.arc(scaled((9, 13), (23, 23)), 20, 160, fill=(50, 80, 30), width=SCALE // 2)
    draw.ellipse(scaled((10, 22), (22, 30)), fill=(180, 190, 120))
    return image.filter(ImageFilter.GaussianBlur(2)).resize((128, 128), Image.Resampling.BOX)


for draw_sample in (seven, shirt, ship, frog):
    draw_sample().save(HERE / f"{draw_sample.__name__}.png", optimize=True)
