"""Whom a client believes behind `https`, `wss` and the like."""

import ssl
from pathlib import Path

from bot.errors import SettingsWrong
from bot.settings import PREFIX


def trusting(file: Path | None, setting: str) -> ssl.SSLContext:
    """The usual authorities, and the certificates in the file of that setting, whoever signed them.

    Raises SettingsWrong for a file that cannot be used.
    """
    context = ssl.create_default_context()
    if file is None:
        return context
    try:
        context.load_verify_locations(file)
    except OSError as error:
        raise SettingsWrong(f"{PREFIX}{setting}: {file} cannot be used: {error.strerror}") from None
    # a server's own chain, as it stands in its settings, need not lead to a root that is in it
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
