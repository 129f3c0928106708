"""What a colour stands for, in page and picture alike."""

from __future__ import annotations

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
GREY: Colour = (224, 224, 224)
"""Where there is nothing to say: padding, a bin of which no row was sampled."""
_DARK: Colour = (8, 48, 107)
_STEPS = 32


def shade(share: float) -> Colour:
    """A colour between white (0) and dark blue (1), one of 33."""
    step = round(min(max(share, 0.0), 1.0) * _STEPS) / _STEPS
    red, green, blue = (round(light + (dark - light) * step) for light, dark in zip(WHITE, _DARK, strict=True))
    return red, green, blue


def of_mass(mass: float) -> Colour:
    """The colour of a share of attention: by its square root, for a sixteenth of it must be seen beside a whole."""
    return shade(max(mass, 0.0) ** 0.5)


def hexed(colour: Colour) -> str:
    """As HTML has it."""
    return "#" + "".join(f"{channel:02x}" for channel in colour)
