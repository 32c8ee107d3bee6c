"""What a run of the bot declares before anything else: the stated basis, and its settings."""

import logging

from bot import VERSION
from bot.basis import basis_if_stated
from bot.settings import Settings
from pipeline.events import BasisStated

logger = logging.getLogger(__name__)


def declaration(settings: Settings, model: str) -> BasisStated:
    """The first event of a run, which is also logged; raises BasisMissing for an incomplete or forbidden basis."""
    basis = basis_if_stated(settings)
    declared = BasisStated(
        jurisdiction=basis.jurisdiction if basis else "",
        basis=basis.basis if basis else "",
        purpose=basis.purpose if basis else None,
        level=settings.publication,
        consent=settings.consent,
        names=settings.names,
        attention=settings.attention and settings.publication == "individual",
        retention_hours=settings.retention_hours,
        model=model,
        version=VERSION,
    )
    _log(declared)
    return declared


def _log(declared: BasisStated) -> None:
    # the purpose is free text, so it is not logged; it is only published to Redis, from where it can be erased
    logger.info(
        "jurisdiction %s, basis %s, consent %s, publication %s, %s, kept for %g h, model %s, version %s",
        declared.jurisdiction or "none stated",
        declared.basis or "none stated",
        declared.consent,
        declared.level,
        "names" if declared.names else "pseudonyms",
        declared.retention_hours,
        declared.model,
        declared.version,
    )
