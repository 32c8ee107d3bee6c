"""Real Janus servers for tests, each with its own configuration; they can be killed, restarted and stalled."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.redis_servers import free_port

JANUS = shutil.which("janus")
START_SECONDS = 10
ADMIN_SECRET = "of-the-tests"
UNUSED_PLUGINS = "audiobridge,duktape,echotest,lua,nosip,recordplay,sip,streaming,textroom,videocall,voicemail"
"""Plugins that a class does not need, and that would only take time to load."""


def _has_an_address() -> bool:
    """Whether a network interface other than the loopback has an address; finds out without sending anything."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return False
        return not str(probe.getsockname()[0]).startswith("127.")


needs_janus = pytest.mark.skipif(
    # Janus gathers no candidate on the loopback interface: every publisher would get "490 Error setting ICE locally"
    JANUS is None or not _has_an_address(),
    reason="no janus, or no network interface for it beside the loopback",
)


@dataclass(frozen=True)
class JanusOptions:
    """What a test may change; an empty text means that the server does not ask for it."""

    room: int | str = 4711
    """A text makes a server with string ids."""
    pin: str = ""
    room_secret: str = "of-the-room"
    """The secret that `kick`, `destroy` and the like must bring."""
    publishers: int = 100
    codecs: str = "vp8,h264"
    api_secret: str = ""
    tokens: tuple[str, ...] = ()
    """The tokens that the server knows; if there are any, every request must bring one."""
    notify_joining: bool = True
    session_timeout_seconds: int = 60
    certificate: tuple[Path, Path] | None = None
    """PEM chain and key: the server then also speaks `wss://`."""
    http: bool = False

    def __post_init__(self) -> None:
        assert re.fullmatch(r"[\w*-]+", str(self.room)), "only a request can make a room of any other name"

    @property
    def string_ids(self) -> bool:
        """Whether rooms and feeds have strings as ids."""
        return isinstance(self.room, str)


class JanusServer:
    """A Janus in the foreground on fixed loopback ports, started and stopped at will."""

    def __init__(self, folder: Path, options: JanusOptions) -> None:
        self.options = options
        self.room = options.room
        self.folder = folder
        self.port, self.admin_port, self.tls_port, self.http_port = (free_port() for _ in range(4))
        self.url = f"ws://127.0.0.1:{self.port}"
        self.admin_url = f"ws://127.0.0.1:{self.admin_port}"
        self.room_url = f"janus://127.0.0.1:{self.port}/{self.room}"
        self.tls_room_url = f"januss://localhost:{self.tls_port}/{self.room}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def said(self) -> str:
        """Its log so far, across restarts."""
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Write the configuration, start, and wait until it listens."""
        write_configuration(self)
        assert JANUS is not None
        with (self.folder / "log").open("ab") as log:
            command = [JANUS, "--configs-folder", str(self.folder), "--disable-colors"]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while not all(map(_listens, self._ports())):
            assert self._process.poll() is None and time.monotonic() < deadline, self.said
            time.sleep(0.02)

    def _ports(self) -> list[int]:
        """The ports that it listens on; the last to open is last."""
        return (
            [self.http_port] * self.options.http + [self.tls_port] * bool(self.options.certificate) + [self.admin_port, self.port]
        )

    def kill(self) -> None:
        """SIGKILL, as when a machine dies."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it and start it again on the same ports; it has forgotten every session, and rooms created meanwhile."""
        self.kill()
        self.start()

    def stall(self) -> None:
        """Stop answering and sending, with every connection left open."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End a stall."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def stopped_janus(**changes: object) -> Iterator[JanusServer]:
    """A server that is not started yet; if it runs, the end of the block stops it. `changes` are fields of the options."""
    options = JanusOptions(**changes)  # type: ignore[arg-type]  # names and types are JanusOptions' own
    with TemporaryDirectory(prefix="classmood-test-janus-") as folder:
        server = JanusServer(Path(folder), options)
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def running_janus(**changes: object) -> Iterator[JanusServer]:
    """A server that answers, and has its room."""
    with stopped_janus(**changes) as server:
        server.start()
        yield server


def write_configuration(server: JanusServer) -> None:
    """Write the files that Janus reads when it starts, in the format of libconfig."""
    for name, text in {
        "janus.jcfg": _core(server),
        "janus.transport.websockets.jcfg": _websockets(server),
        "janus.transport.http.jcfg": _http(server),
        "janus.plugin.videoroom.jcfg": _videoroom(server.options),
    }.items():
        (server.folder / name).write_text(text)


def _core(server: JanusServer) -> str:
    options = server.options
    transports = "mqtt,nanomsg,pfunix,rabbitmq" + ("" if options.http else ",http")
    return f"""
        general: {{
            debug_level = 4
            admin_secret = "{ADMIN_SECRET}"
            {_line("api_secret", options.api_secret)}
            token_auth = {_truth(bool(options.tokens))}
            session_timeout = {options.session_timeout_seconds}
        }}
        media: {{ rtp_port_range = "20000-29999" }}
        plugins: {{ disable = "{_libraries(UNUSED_PLUGINS)}" }}
        transports: {{ disable = "{_libraries(transports)}" }}
    """


def _libraries(names: str) -> str:
    return ",".join(f"libjanus_{name}.so" for name in names.split(","))


def _websockets(server: JanusServer) -> str:
    certificate, key = server.options.certificate or ("", "")
    return f"""
        general: {{
            json = "compact"
            ws = true
            ws_port = {server.port}
            ws_ip = "127.0.0.1"
            wss = {_truth(bool(certificate))}
            wss_port = {server.tls_port}
            wss_ip = "127.0.0.1"
        }}
        admin: {{ admin_ws = true, admin_ws_port = {server.admin_port}, admin_ws_ip = "127.0.0.1" }}
        certificates: {{
            {_line("cert_pem", str(certificate))}
            {_line("cert_key", str(key))}
        }}
    """


def _http(server: JanusServer) -> str:
    return f'general: {{ http = {_truth(server.options.http)}, port = {server.http_port}, ip = "127.0.0.1" }}\n'


def _videoroom(options: JanusOptions) -> str:
    return f"""
        general: {{ string_ids = {_truth(options.string_ids)} }}
        room-{options.room}: {{
            description = "a class of the tests"
            secret = "{options.room_secret}"
            {_line("pin", options.pin)}
            publishers = {options.publishers}
            bitrate = 1500000
            videocodec = "{options.codecs}"
            fir_freq = 0
            notify_joining = {_truth(options.notify_joining)}
            record = false
        }}
    """


def _line(name: str, value: str) -> str:
    return f'{name} = "{value}"' if value else ""


def _truth(value: bool) -> str:
    return "true" if value else "false"
