"""All settings, read once from command-line flags, the environment (`CLASSMOOD_*`) and `.env`; the earlier source wins."""

import difflib
import re
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import AfterValidator, Field, RedisDsn, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, NoDecode, SettingsConfigDict

from bot.errors import SettingsWrong
from bot.readable import readable

PREFIX = "CLASSMOOD_"
COMPOSE_STUDENTS = "students"
"""Not a setting of the bot, but known: docker-compose.yml turns it into a flag."""


class Settings(BaseSettings):
    """The bot's settings; the table in the README is made from this class."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8-sig",  # a byte order mark, as Windows editors write it, would become part of the first name
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    redis_url: RedisDsn = Field(RedisDsn("redis://127.0.0.1:6379/0"), description="where events go; `rediss://` for TLS")
    redis_username: str = Field("", description="ACL user, empty for the default user")
    redis_password: SecretStr = Field(SecretStr(""), description="password of the Redis user")
    redis_ca_file: Path | None = Field(
        None, description="PEM file of the authority that signed the certificate of a `rediss://` server"
    )
    redis_certificate: Path | None = Field(None, description="PEM certificate that the bot shows to a Redis that asks for one")
    redis_key: Path | None = Field(None, description="PEM private key of that certificate")
    redis_retry_seconds: float = Field(1.0, gt=0, le=60, description="longest wait between retries while Redis is away")
    key_prefix: str = Field("classmood", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="first part of every Redis key")
    retention_hours: float = Field(24.0, ge=0.01, le=24 * 366, description="age at which stream entries and states are dropped")
    audit_retention_days: float = Field(
        90.0, ge=0.01, le=3660, description="age at which entries of the audit stream (consent, stated basis) are dropped"
    )
    names: bool = Field(
        False, description="publish the room's own ids and names; otherwise pseudonyms that change with every class"
    )
    outbox_limit: int = Field(
        10_000, ge=10, le=1_000_000, description="events that wait while Redis is away; beyond that, the least needed are dropped"
    )

    jurisdiction: str = Field(
        "", max_length=100, description="where the class is: a country's two letters, `EU`, `EEA`, `other:NAME`; `join` needs it"
    )
    basis: str = Field("", max_length=100, description="on what basis faces are read, see `classmood basis`; `join` needs it")
    purpose: str = Field("", max_length=500, description="the basis in words, published as it stands: no personal data")
    consent: Literal["asked", "everyone"] = Field(
        "asked",
        description="who is read: `asked`, only those who say yes; `everyone`, also those who say nothing,"
        " if all have agreed elsewhere",
    )
    consented_ids: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="room ids of participants who said yes elsewhere, comma-separated"
    )
    withdrawal_erases: bool = Field(
        True, description="erase what Redis holds about participants who withdraw their consent, except the record of that"
    )

    host: str = Field("127.0.0.1", description="address the local room listens on")
    port: int = Field(8080, ge=0, le=65535, description="port of the local room; 0 picks a free one")
    room_token: SecretStr = Field(SecretStr(""), description="bearer token that publishers must bring; empty for none")
    open_room: bool = Field(False, description="let everybody in without a token, even if the room listens beyond this machine")
    public_names: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="host names that the room is called by, comma-separated; needed if a proxy holds the TLS certificate"
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="web origins whose pages may use the room (CORS), comma-separated, or `*`; if not set: with a room token all,"
        " otherwise the room's own and those of this machine",
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (), description="reverse proxies whose `X-Forwarded-For` is believed, addresses or networks, comma-separated"
    )
    private_candidates: bool = Field(
        False, description="also send media to private addresses of publishers who come from public ones (VPN, campus NAT)"
    )
    tls_certificate: Path | None = Field(
        None, description="PEM certificate chain; browsers give cameras only to https or localhost"
    )
    tls_key: Path | None = Field(None, description="PEM private key of the certificate")
    stun_urls: Annotated[tuple[str, ...], NoDecode] = Field((), description="STUN servers, `stun:HOST:PORT`, comma-separated")
    turn_urls: Annotated[tuple[str, ...], NoDecode] = Field((), description="TURN servers, `turn:HOST:PORT`, comma-separated")
    turn_username: str = Field("", description="user name at the TURN servers")
    turn_password: SecretStr = Field(SecretStr(""), description="password at the TURN servers; the student page receives it")
    max_participants: int = Field(200, ge=1, le=2000, description="publishers the local room accepts; one more gets 503")
    max_connecting: int = Field(
        150, ge=1, le=2000, description="most publishers whose connection is not up yet; from one network, two thirds of that"
    )
    max_connections: int = Field(
        600, ge=3, le=20_000, description="most HTTP connections at a time; from one network, two thirds of that"
    )
    offers_per_minute: int = Field(
        60, ge=1, le=100_000, description="offers per minute from one network, after a burst large enough for a whole class"
    )
    max_offer_bytes: int = Field(65_536, ge=1024, le=1_048_576, description="largest SDP offer; a larger one gets 413")
    page_width: int = Field(480, ge=160, le=1920, description="width that the student page sends, pixels")
    page_height: int = Field(270, ge=90, le=1080, description="height that the student page sends, pixels")
    page_frames_per_second: float = Field(10.0, ge=1, le=60, description="frame rate that the student page sends")

    bot_name: Annotated[str, AfterValidator(readable)] = Field(
        "classmood (reads emotions)", min_length=1, max_length=100, description="name in rooms it joins"
    )
    janus_pin: SecretStr = Field(SecretStr(""), description="PIN of the Janus room")
    janus_token: SecretStr = Field(SecretStr(""), description="token that the Janus gateway or its room requires")
    janus_api_secret: SecretStr = Field(SecretStr(""), description="API secret of the Janus gateway")
    janus_path: str = Field("/", pattern=r"^/", description="path of the Janus WebSocket, if a proxy is in front of it")
    janus_ca_file: Path | None = Field(
        None, description="PEM file of the authority that signed the certificate of a `januss://` server"
    )
    janus_substream: int = Field(0, ge=0, le=2, description="simulcast layer to receive: 0 the smallest, 2 the largest")
    janus_temporal: int = Field(0, ge=0, le=2, description="temporal layer to receive: 0 the fewest frames, 2 all of them")
    removed_exit_code: int = Field(
        7, ge=0, le=255, description="exit code if the bot was removed from a room, or the room was closed"
    )

    looks_per_second: float = Field(2.0, gt=0, le=30, description="looks at each participant")
    batch: int = Field(32, ge=1, le=64, description="most frames read together")
    gather_ms: float = Field(50.0, ge=0, le=1000, description="age up to which a frame waits for others to be read with it")
    smallest_face_pixels: float = Field(20.0, ge=4, le=1000, description="a face narrower than this is `face_too_small`")
    darkest_face: float = Field(25.0, ge=0, le=255, description="a face with a mean brightness below this is `too_dark`")
    blurriest_face: float = Field(3.0, ge=0, le=1000, description="a face with less detail (Laplacian deviation) is `blurred`")
    smoothing_seconds: float = Field(1.5, ge=0, le=60, description="time constant of the scores' exponential smoothing")
    unknown_below: float = Field(0.4, ge=0, le=1, description="a confidence below this is `unknown`")
    lead_to_change: float = Field(
        0.1, ge=0, le=1, description="lead in score that another emotion needs to replace the current one"
    )
    dwell_seconds: float = Field(1.0, ge=0, le=60, description="time that another emotion must lead before `emotion.changed`")
    sample_seconds: float = Field(
        1.0, ge=0, le=3600, description="time between `emotion.sample` events of a participant; 0 for none"
    )
    summary_seconds: float = Field(5.0, gt=0, le=3600, description="time between class summaries")
    publication: Literal["individual", "aggregate"] = Field(
        "individual",
        description="what is published: `individual`, each consenting participant and the class; `aggregate`, only the class",
    )
    smallest_group: int = Field(
        5, ge=3, le=100, description="fewest people that a summary needs, and fewest who enter or leave its figures at a time"
    )
    attention: bool = Field(False, description="publish who may need help: `attention.raised` and `.cleared`")
    attention_changed_seconds: float = Field(
        90.0, ge=5, le=3600, description="time that someone must look less pleasant than is usual for them"
    )
    attention_not_visible_seconds: float = Field(
        180.0, ge=5, le=3600, description="time that someone who was seen before must be out of sight"
    )
    attention_observation_seconds: float = Field(
        120.0, ge=5, le=3600, description="time that someone is seen before it is known what is usual for them"
    )
    attention_baseline_seconds: float = Field(600.0, ge=60, le=7200, description="time constant of what is usual for someone")
    attention_valence_fall: float = Field(
        0.4, ge=0.05, le=2, description="fall in valence, on a scale from -1 to 1, that counts as a change"
    )
    attention_cooldown_seconds: float = Field(
        300.0,
        ge=0,
        le=7200,
        description="time after attention is cleared before the same reason can be raised again for the same person",
    )
    attention_most: int = Field(5, ge=1, le=100, description="most people for whom attention is raised at a time")
    heartbeat_seconds: float = Field(5.0, ge=0.1, le=3600, description="time between `bot.status` events")
    stalled_seconds: float = Field(5.0, gt=0, le=3600, description="time without a frame after which a participant is `stalled`")
    left_seconds: float = Field(30.0, gt=0, le=86400, description="time without a frame after which a participant has left")

    dashboard_host: str = Field(
        "127.0.0.1", description="address the dashboard listens on; any but this machine's needs a password"
    )
    dashboard_port: int = Field(8090, ge=0, le=65535, description="port of the dashboard; 0 picks a free one")
    dashboard_password: SecretStr = Field(SecretStr(""), description="password of the dashboard, 8 characters or more")
    dashboard_link_secret: SecretStr = Field(
        SecretStr(""),
        description="secret of the read-only links, 16 characters or more; they end when it changes or, if not set,"
        " when the dashboard stops",
    )
    dashboard_marks: Annotated[tuple[str, ...], NoDecode] = Field(
        ("explanation", "exercise", "discussion", "break"),
        max_length=9,
        description="marks that the keys 1, 2, … make in the lesson, comma-separated",
    )

    weights: Path | None = Field(
        None, description="folder with the classifier's `card.json`, or the `.tflite` in it; the shipped one if not set"
    )
    mqtt_username: str = Field("", description="user at the broker that `forward` publishes to")
    mqtt_password: SecretStr = Field(SecretStr(""), description="password of the MQTT user")
    webhook_secret: SecretStr = Field(SecretStr(""), description="`whsec_…` that signs the webhooks of `forward`")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="lowest level that is logged")

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:  # validators further down run first: it is split already
        if not isinstance(value, tuple):
            return value
        try:
            return tuple(ip_network(part) for part in value)
        except ValueError as error:
            raise ValueError(f"{error}; give addresses or networks, such as 127.0.0.1,10.0.0.0/8") from None

    @field_validator(
        "stun_urls",
        "turn_urls",
        "allowed_origins",
        "public_names",
        "trusted_proxies",
        "consented_ids",
        "dashboard_marks",
        mode="before",
    )
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("room_token")
    @classmethod
    def _as_clients_can_send_it(cls, token: SecretStr) -> SecretStr:
        # browsers refuse other characters in a header, and blanks at its ends are lost on the way
        if not re.fullmatch(r"[!-~]*", token.get_secret_value()):
            raise ValueError("a token is written in visible ASCII characters without blanks, as browsers can send no others")
        return token

    @field_validator("allowed_origins")
    @classmethod
    def _as_browsers_write_them(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        plain = tuple(origin.lower().rstrip("/") for origin in origins)
        for origin in plain:
            if "*" in origin and origin != "*":
                raise ValueError(f"{origin} matches no page: origins have no wildcards, so name each, or * alone for all of them")
            if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+", origin):
                raise ValueError(f"{origin} is not an origin: write https://HOST or https://HOST:PORT")
        return plain

    @field_validator("public_names")
    @classmethod
    def _without_scheme_and_port(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not re.fullmatch(r"[A-Za-z0-9_.-]+|[0-9A-Fa-f:.]+", name):
                raise ValueError(f"{name} is not a host name: leave out https:// and the port")
        return names

    @model_validator(mode="before")
    @classmethod
    def _take_the_password_out_of_the_url(cls, values: dict[str, object]) -> dict[str, object]:
        return _with_credentials(values)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        if (self.redis_certificate is None) != (self.redis_key is None):
            raise ValueError("redis_certificate and redis_key go together")
        if (self.redis_ca_file or self.redis_certificate) and self.redis_url.scheme != "rediss":
            raise ValueError("redis_ca_file and redis_certificate need a redis_url that begins with rediss://")
        if self.redis_url.query:
            raise ValueError("redis_url takes no query: connection options have their own settings")
        if self.turn_urls and not (self.turn_username and self.turn_password.get_secret_value()):
            raise ValueError("turn_urls needs turn_username and turn_password: browsers accept no TURN server without them")
        if self.left_seconds <= self.stalled_seconds:
            raise ValueError("left_seconds must be longer than stalled_seconds")
        return self


def _with_credentials(values: dict[str, object]) -> dict[str, object]:
    """Move the user and the password in the Redis URL to settings of their own, unless those are given already.

    A URL is printed whole in logs and errors; a secret setting is not.
    """
    try:
        parts = urlsplit(str(values.get("redis_url", "")))
    except ValueError as error:
        raise ValueError(f"{PREFIX}REDIS_URL: {error}") from None
    if parts.password is None:
        return values
    host = parts.netloc.rpartition("@")[2]
    named = {"redis_username": unquote(parts.username or ""), "redis_password": unquote(parts.password)}
    return {**named, **values, "redis_url": urlunsplit(parts._replace(netloc=host))}


def read_settings(**flags: object) -> Settings:
    """The settings, with command-line flags taking precedence; raises SettingsWrong with one line that says what is wrong."""
    try:
        return Settings(**_with_credentials(flags))  # type: ignore[arg-type]  # pydantic checks them
    except UnicodeDecodeError:
        raise SettingsWrong(".env in this folder is not UTF-8 text: save it as such") from None
    except OSError as error:
        raise SettingsWrong(f".env in this folder cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise SettingsWrong("; ".join(_one_line(each) for each in error.errors(include_input=False, include_url=False))) from None
    except ValueError as error:
        raise SettingsWrong(str(error)) from None


def _one_line(problem: object) -> str:
    assert isinstance(problem, dict)
    name = "_".join(str(part) for part in problem["loc"])
    reason = str(problem["msg"]).removeprefix("Value error, ")
    return f"{PREFIX}{name.upper()}: {reason}" if name else reason


def unknown_names() -> Iterator[str]:
    """A line for each `CLASSMOOD_*` in the environment or in `.env` that is not a setting, and so changes nothing."""
    given = {**EnvSettingsSource(Settings).env_vars, **DotEnvSettingsSource(Settings).env_vars}
    ours = {name.removeprefix(PREFIX.lower()) for name in given if name.startswith(PREFIX.lower())}
    for name in sorted(ours - {*Settings.model_fields, COMPOSE_STUDENTS}):
        near = difflib.get_close_matches(name, Settings.model_fields, n=1)
        meant = f"; did you mean {PREFIX}{near[0].upper()}?" if near else ""
        yield f"{PREFIX}{name.upper()} is not a setting and has no effect{meant}"
