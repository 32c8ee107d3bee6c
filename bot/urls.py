"""URLs that an operator writes."""

from urllib.parse import SplitResult, urlsplit

from bot.errors import SettingsWrong


def checked_url(text: str, what: str) -> SplitResult:
    """The parts of a URL whose host and port can be used; raises SettingsWrong, in a line that begins with `what` it is."""
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of a command line that are no UTF-8
        raise SettingsWrong(f"{what} is not valid text") from None
    try:
        url = urlsplit(text)
        (url.hostname or "").encode("idna")
    except ValueError as error:  # of the latter, too, for a host with a part that is empty or too long
        raise SettingsWrong(f"{what}: {error}") from None
    try:
        url.port  # noqa: B018  # reading it is what checks it
    except ValueError:
        raise SettingsWrong(f"{what}: the port must be a number from 0 to 65535") from None
    return url


def reachable(address: str) -> str:
    """Where on this machine something is reached that listens there; an address that means all of them is none to connect to."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # nosec B104
