"""The STUN and TURN servers in the settings, in the three forms in which they are needed."""

from aiortc import RTCBundlePolicy, RTCConfiguration, RTCIceGatherer, RTCIceServer

from bot.errors import SettingsWrong
from bot.settings import PREFIX, Settings


def ice_servers(settings: Settings) -> list[RTCIceServer]:
    """The servers as aiortc takes them; raises SettingsWrong for an invalid URL."""
    password = settings.turn_password.get_secret_value()
    servers = [RTCIceServer(url) for url in settings.stun_urls]
    servers += [RTCIceServer(url, settings.turn_username, password) for url in settings.turn_urls]
    try:
        RTCIceGatherer(servers)
    except ValueError as error:
        raise SettingsWrong(f"{PREFIX}STUN_URLS and {PREFIX}TURN_URLS: {error}") from None
    return servers


def peer_configuration(settings: Settings) -> RTCConfiguration:
    """The configuration of the bot's ends of connections."""
    # an explicit list, even if empty: by default aiortc asks a public server, and hangs if it cannot reach one
    return RTCConfiguration(iceServers=ice_servers(settings), bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)


def ice_servers_as_json(settings: Settings) -> list[dict[str, str]]:
    """The servers as a browser's `RTCIceServer` dictionaries."""
    secret = {"username": settings.turn_username, "credential": settings.turn_password.get_secret_value()}
    return [{"urls": url} for url in settings.stun_urls] + [{"urls": url, **secret} for url in settings.turn_urls]


def ice_server_links(settings: Settings) -> list[str]:
    """The servers as values of `Link` headers (RFC 9725, section 4.6)."""
    links = [f'<{url}>; rel="ice-server"' for url in settings.stun_urls]
    secret = (
        f"username={_quoted(settings.turn_username)}; "
        f'credential={_quoted(settings.turn_password.get_secret_value())}; credential-type="password"'
    )
    return links + [f'<{url}>; rel="ice-server"; {secret}' for url in settings.turn_urls]


def _quoted(text: str) -> str:
    """The text as an HTTP quoted-string (RFC 9110, section 5.6.4)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
