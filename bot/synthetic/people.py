"""What a made-up person looks like apart from the face, all derived from one number."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

Hair = Literal["short", "parted", "curly", "long", "bun", "shaved", "scarf"]
Backdrop = Literal["wall", "shelf", "window", "pictures", "door"]

SKINS: tuple[Colour, ...] = (
    (230, 188, 162), (226, 180, 150), (214, 160, 126), (196, 140, 104), (168, 114, 82), (136, 90, 64), (108, 70, 50),
)  # fmt: skip
HAIRS: tuple[Colour, ...] = (
    (28, 22, 20),
    (48, 32, 24),
    (78, 52, 34),
    (122, 84, 50),
    (168, 126, 78),
    (110, 60, 36),
    (120, 116, 112),
)
CLOTHES: tuple[Colour, ...] = (
    (52, 72, 110), (124, 48, 52), (60, 96, 72), (70, 70, 76), (196, 190, 178), (146, 110, 52), (92, 66, 112), (60, 120, 132),
)  # fmt: skip
WALLS: tuple[Colour, ...] = (
    (206, 202, 192), (180, 194, 200), (196, 186, 166), (150, 164, 150), (174, 152, 142), (120, 130, 146), (214, 208, 204),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in front of a camera.

    `face_height` is a fraction of the picture's height; `across` and `down` are how far the face is from the picture's middle, as
    fractions of its width and height; `light` is the brightness on the left and on the right.
    """

    number: int
    skin: Colour
    hair: Hair
    hair_colour: Colour
    clothes: Colour
    backdrop: Backdrop
    wall: Colour
    face_height: float
    across: float
    down: float
    light: tuple[float, float]
    warmth: float

    def random(self, purpose: str) -> np.random.Generator:
        """A random generator that always gives the same numbers for this person and purpose."""
        return np.random.default_rng([self.number, *purpose.encode()])


def person(number: int) -> Person:
    """The person with this number, always the same; persons with consecutive numbers differ in skin, hair and backdrop."""
    random = np.random.default_rng([number, 2013])
    return Person(
        number=number,
        skin=SKINS[(number * 3 + 1) % len(SKINS)],
        # shifts with every round through the skins, so that no hair style goes with one skin only
        hair=get_args(Hair)[(number * 5 + 3 + number // len(SKINS)) % len(get_args(Hair))],
        hair_colour=HAIRS[int(random.integers(len(HAIRS)))],
        clothes=CLOTHES[(number * 3 + int(random.integers(2))) % len(CLOTHES)],
        backdrop=get_args(Backdrop)[(number * 2 + 1) % len(get_args(Backdrop))],
        wall=WALLS[(number * 2 + int(random.integers(3))) % len(WALLS)],
        face_height=float(random.uniform(0.40, 0.50)),
        across=float(random.uniform(-0.16, 0.16)),
        down=float(random.uniform(-0.06, 0.02)),
        light=(float(random.uniform(0.85, 1.08)), float(random.uniform(0.85, 1.08))),
        warmth=float(random.uniform(-0.05, 0.05)),
    )
