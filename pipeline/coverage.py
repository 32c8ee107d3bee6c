"""Why a participant is, or is not, being read."""

from enum import StrEnum


class Coverage(StrEnum):
    """What the bot can say of a participant's picture; only `ok` comes with emotion scores."""

    OK = "ok"
    NO_FACE = "no_face"
    FACE_TOO_SMALL = "face_too_small"
    TOO_DARK = "too_dark"
    BLURRED = "blurred"
    CAMERA_OFF = "camera_off"
    STALLED = "stalled"
    NOT_CONSENTED = "not_consented"
    UNSUPPORTED_CODEC = "unsupported_codec"
