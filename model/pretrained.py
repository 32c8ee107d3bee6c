"""Whether Keras can get at a backbone's ImageNet weights: asked beforehand, since it tells of a failure as of any other."""

import logging
import os
import urllib.error
import urllib.request
from pathlib import Path

logger = logging.getLogger(__name__)

WEIGHTS = "https://storage.googleapis.com/tensorflow/keras-applications/"
ANSWER_SECONDS = 10.0


def can_be_had(network: str, source: str = WEIGHTS) -> bool:
    """Whether the weights are in Keras' cache or their server answers; a line in the log says if they are not."""
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    if any(home.glob(f"models/{network}*notop.h5")):
        return True
    try:
        # the address is ours, not a user's
        with urllib.request.urlopen(urllib.request.Request(source, method="HEAD"), timeout=ANSWER_SECONDS):  # nosec B310
            return True
    except urllib.error.HTTPError:
        return True  # the folder itself is nobody's to read; the server is there
    except OSError as error:
        logger.warning("the ImageNet weights of %s cannot be fetched (%s): it starts from scratch", network, error)
        return False
