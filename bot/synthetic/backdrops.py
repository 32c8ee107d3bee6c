"""The rooms behind made-up people, drawn from simple shapes and a little out of focus."""

import cv2
import numpy as np

from bot.synthetic.people import Colour, Person
from model.faces import Image


def backdrop(person: Person, width: int, height: int) -> Image:
    """The room behind a person, RGB (height, width, 3) uint8."""
    room = _wall(person.wall, width, height)
    _FURNITURE[person.backdrop](room, person.random("backdrop"))
    blurred = cv2.GaussianBlur(room, (0, 0), height / 110)
    return blurred.astype(np.uint8, copy=False)


def _wall(colour: Colour, width: int, height: int) -> Image:
    """A wall that gets darker downwards and to one side."""
    y, x = np.mgrid[:height, :width]
    shade = 1.05 - 0.25 * y / height - 0.12 * x / width
    wall: Image = np.clip(np.array(colour) * shade[..., None], 0, 255).astype(np.uint8)
    return wall


def _shelf(room: Image, random: np.random.Generator) -> None:
    height, width = room.shape[:2]
    side = int(random.integers(2))
    left, right = (0, int(width * 0.34)) if side else (int(width * 0.66), width)
    board = max(height // 60, 2)
    for top in np.linspace(0.02, 0.75, 4) * height:
        bottom = int(top + height * 0.21)
        x = left
        while x < right:
            thick = int(random.integers(width // 60, width // 28))
            tall = int(height * random.uniform(0.12, 0.19))
            colour = tuple(int(value) for value in random.integers(40, 190, 3))
            cv2.rectangle(room, (x, bottom - tall), (min(x + thick - 2, right), bottom), colour, -1)
            x += thick
        cv2.rectangle(room, (left, bottom), (right, bottom + board), (96, 68, 44), -1)


def _window(room: Image, random: np.random.Generator) -> None:
    height, width = room.shape[:2]
    left = int(width * random.choice([0.04, 0.68]))
    right, top, bottom = left + int(width * 0.28), int(height * 0.06), int(height * 0.66)
    cv2.rectangle(room, (left, top), (right, bottom), (214, 228, 240), -1)
    cv2.rectangle(room, (left, bottom - height // 6), (right, bottom), (128, 156, 116), -1)
    frame, thick = (236, 234, 228), max(height // 45, 2)
    cv2.rectangle(room, (left, top), (right, bottom), frame, thick)
    cv2.line(room, ((left + right) // 2, top), ((left + right) // 2, bottom), frame, thick)


def _pictures(room: Image, random: np.random.Generator) -> None:
    height, width = room.shape[:2]
    for left in (0.06, 0.74):
        x, y = int(width * left), int(height * random.uniform(0.06, 0.25))
        wide, tall = int(width * random.uniform(0.12, 0.2)), int(height * random.uniform(0.25, 0.4))
        cv2.rectangle(room, (x, y), (x + wide, y + tall), (60, 52, 46), -1)
        inner = tuple(int(value) for value in random.integers(90, 230, 3))
        cv2.rectangle(room, (x + 5, y + 5), (x + wide - 5, y + tall - 5), inner, -1)
        spot = tuple(int(value) for value in random.integers(60, 200, 3))
        cv2.circle(room, (x + wide // 2, y + tall // 2), min(wide, tall) // 4, spot, -1)


def _door(room: Image, random: np.random.Generator) -> None:
    height, width = room.shape[:2]
    left = int(width * random.choice([0.05, 0.7]))
    right, top = left + int(width * 0.24), int(height * 0.04)
    tone = random.uniform(0.65, 0.95)
    cv2.rectangle(room, (left, top), (right, height), tuple(int(value * tone) for value in (190, 176, 152)), -1)
    cv2.rectangle(room, (left, top), (right, height), (120, 108, 92), max(height // 70, 2))
    cv2.circle(room, (right - width // 40, int(height * 0.62)), max(height // 60, 3), (90, 84, 70), -1)


def _nothing(room: Image, random: np.random.Generator) -> None:
    """A bare wall with a corner of the room."""
    height, width = room.shape[:2]
    corner = int(width * random.uniform(0.1, 0.9))
    darker = room[:, corner:].astype(np.float32) * 0.88
    room[:, corner:] = darker.astype(np.uint8)
    cv2.line(room, (corner, 0), (corner, height), tuple(int(value) for value in room[0, 0] * 0.8), 1)


_FURNITURE = {"wall": _nothing, "shelf": _shelf, "window": _window, "pictures": _pictures, "door": _door}
