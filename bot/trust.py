"""Which certificates a client trusts for `https`, `wss` and the like."""

import ssl
from pathlib import Path

from bot.errors import SettingsWrong
from bot.settings import PREFIX


def trusting(file: Path | None, setting: str) -> ssl.SSLContext:
    """A TLS context with the usual authorities and the certificates in `file`, whoever signed those.

    `setting` names the setting that the file comes from. Raises SettingsWrong for a file that cannot be used.
    """
    context = ssl.create_default_context()
    if file is None:
        return context
    try:
        context.load_verify_locations(file)
    except OSError as error:
        raise SettingsWrong(f"{PREFIX}{setting}: {file} cannot be used: {error.strerror}") from None
    # the file may be a server's own certificate chain, which need not include the root
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
