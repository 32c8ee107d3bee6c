"""Everything that can be configured, read once: environment `CLASSMOOD_*`, then `.env`; command-line flags stand over both."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import Field, RedisDsn, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.errors import SettingsWrong

PREFIX = "CLASSMOOD_"


class Settings(BaseSettings):
    """The bot's settings; the table in the README is made from this class."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    redis_url: RedisDsn = Field(RedisDsn("redis://127.0.0.1:6379/0"), description="where events go; `rediss://` for TLS")
    redis_username: str = Field("", description="ACL user, empty for the default user")
    redis_password: SecretStr = Field(SecretStr(""), description="password of the Redis user")
    redis_ca_file: Path | None = Field(None, description="PEM authority that signed the certificate of a `rediss://` server")
    redis_certificate: Path | None = Field(None, description="PEM certificate that the bot shows to a Redis that asks for one")
    redis_key: Path | None = Field(None, description="PEM private key of that certificate")
    redis_retry_seconds: float = Field(1.0, gt=0, le=60, description="longest wait between two tries while Redis is away")
    key_prefix: str = Field("classmood", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="first part of every Redis key")
    retention_hours: float = Field(24.0, ge=0.01, le=24 * 366, description="age at which stream entries and states are dropped")
    outbox_limit: int = Field(
        10_000, ge=10, le=1_000_000, description="events that wait while Redis is away; the oldest fall out"
    )

    host: str = Field("127.0.0.1", description="address the local room listens on")
    port: int = Field(8080, ge=0, le=65535, description="port of the local room; 0 takes a free one")
    room_token: SecretStr = Field(SecretStr(""), description="bearer token that publishers must bring; empty for none")
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        ("*",), description="web origins that may publish from their own pages (CORS), comma-separated"
    )
    tls_certificate: Path | None = Field(
        None, description="PEM certificate chain; browsers give cameras only to https or localhost"
    )
    tls_key: Path | None = Field(None, description="PEM private key of the certificate")
    stun_urls: Annotated[tuple[str, ...], NoDecode] = Field((), description="STUN servers, `stun:HOST:PORT`, comma-separated")
    turn_urls: Annotated[tuple[str, ...], NoDecode] = Field((), description="TURN servers, `turn:HOST:PORT`, comma-separated")
    turn_username: str = Field("", description="user name at the TURN servers")
    turn_password: SecretStr = Field(SecretStr(""), description="password at the TURN servers; the student page receives it")
    max_participants: int = Field(200, ge=1, le=2000, description="publishers the local room takes; one more gets 503")
    max_offer_bytes: int = Field(65_536, ge=1024, le=1_048_576, description="largest SDP offer; a larger one gets 413")
    page_width: int = Field(480, ge=160, le=1920, description="width that the student page sends, pixels")
    page_height: int = Field(270, ge=90, le=1080, description="height that the student page sends, pixels")
    page_frames_per_second: float = Field(10.0, gt=0, le=60, description="frame rate that the student page sends")

    bot_name: str = Field("classmood (reads emotions)", min_length=1, max_length=100, description="name in rooms it joins")
    janus_pin: SecretStr = Field(SecretStr(""), description="PIN of the Janus room")
    janus_token: SecretStr = Field(SecretStr(""), description="token that the Janus gateway or its room wants")
    janus_api_secret: SecretStr = Field(SecretStr(""), description="API secret of the Janus gateway")
    janus_path: str = Field("/", pattern=r"^/", description="path of the Janus WebSocket, where a proxy stands before it")
    janus_ca_file: Path | None = Field(None, description="PEM authority that signed the certificate of a `januss://` server")
    janus_substream: int = Field(0, ge=0, le=2, description="simulcast layer to receive: 0 the smallest, 2 the largest")
    janus_temporal: int = Field(0, ge=0, le=2, description="temporal layer to receive: 0 the fewest frames, 2 all of them")
    removed_exit_code: int = Field(7, ge=0, le=255, description="exit code when the bot was removed from a room, or the room was")

    looks_per_second: float = Field(2.0, gt=0, le=30, description="looks at each participant")
    batch: int = Field(8, ge=1, le=64, description="most frames that are read at a time")
    smallest_face_pixels: float = Field(20.0, ge=4, le=1000, description="a face narrower than this is `face_too_small`")
    darkest_face: float = Field(25.0, ge=0, le=255, description="a face with a mean brightness below this is `too_dark`")
    blurriest_face: float = Field(3.0, ge=0, le=1000, description="a face with less detail (Laplacian deviation) is `blurred`")
    smoothing_seconds: float = Field(1.5, ge=0, le=60, description="time constant of the scores' exponential smoothing")
    unknown_below: float = Field(0.4, ge=0, le=1, description="a confidence below this is `unknown`")
    lead_to_change: float = Field(0.1, ge=0, le=1, description="lead in score that another emotion needs")
    dwell_seconds: float = Field(1.0, ge=0, le=60, description="time that another emotion must lead before `emotion.changed`")
    sample_seconds: float = Field(
        1.0, ge=0, le=3600, description="time between `emotion.sample` events of a participant; 0 for none"
    )
    summary_seconds: float = Field(5.0, gt=0, le=3600, description="time between class summaries")
    smallest_group: int = Field(5, ge=3, le=100, description="scored participants below which the summary is withheld")
    heartbeat_seconds: float = Field(5.0, ge=0.1, le=3600, description="time between `bot.status` events")
    stalled_seconds: float = Field(5.0, gt=0, le=3600, description="time without a frame after which a participant is `stalled`")
    left_seconds: float = Field(30.0, gt=0, le=86400, description="time without a frame after which a participant has left")

    weights: Path | None = Field(None, description="folder with the classifier's `card.json`; the shipped one if not set")
    mqtt_username: str = Field("", description="user at the broker that `forward` publishes to")
    mqtt_password: SecretStr = Field(SecretStr(""), description="password of the MQTT user")
    webhook_secret: SecretStr = Field(SecretStr(""), description="`whsec_…` that signs the webhooks of `forward`")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")

    @field_validator("stun_urls", "turn_urls", "allowed_origins", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _take_the_password_out_of_the_url(cls, values: dict[str, object]) -> dict[str, object]:
        # a URL prints whole in logs and errors; a secret setting does not
        parts = urlsplit(str(values.get("redis_url", "")))
        if parts.password is None:
            return values
        host = parts.netloc.rpartition("@")[2]
        named = {"redis_username": unquote(parts.username or ""), "redis_password": unquote(parts.password)}
        return {**named, **values, "redis_url": urlunsplit(parts._replace(netloc=host))}

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        if (self.redis_certificate is None) != (self.redis_key is None):
            raise ValueError("redis_certificate and redis_key go together")
        if (self.redis_ca_file or self.redis_certificate) and self.redis_url.scheme != "rediss":
            raise ValueError("redis_ca_file and redis_certificate need a redis_url that begins with rediss://")
        if self.left_seconds <= self.stalled_seconds:
            raise ValueError("left_seconds must be longer than stalled_seconds")
        return self


def read_settings(**flags: object) -> Settings:
    """The settings with command-line flags over them; raises SettingsWrong with one line that names what is wrong."""
    try:
        return Settings(**flags)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        raise SettingsWrong("; ".join(_one_line(each) for each in error.errors(include_input=False, include_url=False))) from None


def _one_line(problem: object) -> str:
    assert isinstance(problem, dict)
    name = "_".join(str(part) for part in problem["loc"])
    reason = str(problem["msg"]).removeprefix("Value error, ")
    return f"{PREFIX}{name.upper()}: {reason}" if name else reason
