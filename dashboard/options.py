"""How the dashboard is served, and which options are refused."""

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from dashboard.proxies import Network
from pipeline.markers import MarkRefused, new_marker

SHORTEST_PASSWORD = 8
"""Characters; shorter ones could be guessed even with the few tries a minute that are let through."""

SHORTEST_LINK_SECRET = 16
"""Characters; whoever has a link could find a shorter one by trying them against it, without asking the dashboard."""

NO_SECRET = SecretStr("")


class DashboardRefused(Exception):
    """The dashboard cannot be served with these options; the text is the one line that the operator reads."""


@dataclass(frozen=True, slots=True)
class DashboardOptions:
    """Where the dashboard listens, who may look, and what its one-key marks say.

    Without a `link_secret`, read-only links end with the process. `trusted_proxies` are believed about where requests come from.
    """

    host: str = "127.0.0.1"
    port: int = 8090
    password: SecretStr = NO_SECRET
    link_secret: SecretStr = NO_SECRET
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    marks: tuple[str, ...] = ("explanation", "exercise", "discussion", "break")
    retention_ms: int = 24 * 3_600_000
    trusted_proxies: tuple[Network, ...] = ()

    def check(self) -> None:
        """Raises DashboardRefused if strangers could look, or guess their way in, or if a mark could not be made."""
        length = len(self.password.get_secret_value())
        if not length and not is_loopback(self.host):
            raise DashboardRefused(
                f"{self.host or 'every address'} can be reached from other machines: set CLASSMOOD_DASHBOARD_PASSWORD, "
                "or CLASSMOOD_DASHBOARD_HOST=127.0.0.1 to show the dashboard only on this machine"
            )
        if 0 < length < SHORTEST_PASSWORD:
            raise DashboardRefused(
                f"CLASSMOOD_DASHBOARD_PASSWORD: {length} characters are too few, use {SHORTEST_PASSWORD} or more"
            )
        length = len(self.link_secret.get_secret_value())
        if 0 < length < SHORTEST_LINK_SECRET:
            raise DashboardRefused(
                f"CLASSMOOD_DASHBOARD_LINK_SECRET: {length} characters are too few, use {SHORTEST_LINK_SECRET} or more"
            )
        for label in self.marks:
            _check_mark(label)


def _check_mark(label: str) -> None:
    try:
        new_marker(label, 0)
    except MarkRefused as error:
        raise DashboardRefused(f"CLASSMOOD_DASHBOARD_MARKS, {label[:20]!r}: {error}") from None


def is_loopback(host: str) -> bool:
    """Whether an address or a name can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def in_url(host: str) -> str:
    """An address or a name as URLs have it: addresses of IPv6 in brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def tls_context(options: DashboardOptions) -> ssl.SSLContext | None:
    """What to serve https with; None for plain http. Raises DashboardRefused for files that cannot be used."""
    if options.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # without this, a key with a passphrase would ask for it on the terminal
        context.load_cert_chain(options.tls_certificate, options.tls_key, password="")  # nosec B106
    except OSError as error:  # ssl's errors are OSErrors too
        raise DashboardRefused(
            f"CLASSMOOD_TLS_CERTIFICATE or CLASSMOOD_TLS_KEY cannot be used: {error.strerror or error}"
        ) from None
    return context
