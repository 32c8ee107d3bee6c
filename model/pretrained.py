"""The ImageNet weights of the backbones: fetched as Keras would, except that a failed fetch does not end the training."""

import hashlib
import http.client
import logging
import os
import shutil
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from model.disk import drafted

logger = logging.getLogger(__name__)

SOURCE = "https://storage.googleapis.com/tensorflow/keras-applications/"
ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Published:
    """A file that somebody published, and its MD5."""

    address: str
    md5: str


IMAGENET = {
    "vgg16": Published(
        SOURCE + "vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", md5="6d6bbae143d832006294945121d1f1fc"
    ),
    "resnet50": Published(
        SOURCE + "resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", md5="4d473c1dd8becc155b73f8504c6f6626"
    ),
}
"""What `keras.applications` fetches for each backbone without its head."""


def fetched(network: str, published: Published) -> Path | None:
    """The path of the weights in Keras' cache, fetched if they are not there; None, and a line in the log, if that fails."""
    kept = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models" / Path(published.address).name
    try:
        if not kept.exists() or _md5(kept) != published.md5:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with drafted(kept) as draft:
                _fetch(published.address, draft)
                if _md5(draft) != published.md5:
                    raise OSError("what came is not the file")
    except (OSError, http.client.HTTPException) as error:
        logger.warning("the ImageNet weights of %s cannot be fetched (%s): it starts from scratch", network, error)
        return None
    return kept


def _fetch(address: str, path: Path) -> None:
    logger.info("fetching %s", address)
    # the address is ours, not a user's
    with urllib.request.urlopen(address, timeout=ANSWER_SECONDS) as answer, path.open("wb") as file:  # nosec B310
        shutil.copyfileobj(answer, file)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
