"""Checks and changes of URLs that an operator writes."""

from urllib.parse import SplitResult, urlsplit

from bot.errors import SettingsWrong


def checked_url(text: str, what: str) -> SplitResult:
    """The parts of a URL; raises SettingsWrong, with `what` the URL is for, if it or its host or port cannot be used."""
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes on the command line that are not UTF-8
        raise SettingsWrong(f"{what} is not valid text") from None
    try:
        url = urlsplit(text)
        (url.hostname or "").encode("idna")
    except ValueError as error:  # also from idna, for a host with an empty or too long part
        raise SettingsWrong(f"{what}: {error}") from None
    try:
        url.port  # noqa: B018  # reading it checks it
    except ValueError:
        raise SettingsWrong(f"{what}: the port must be a number from 0 to 65535") from None
    return url


def reachable(address: str) -> str:
    """The address at which to reach something on this machine that listens on `address`, which may mean all addresses."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # nosec B104
