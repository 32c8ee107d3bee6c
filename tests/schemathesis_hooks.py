"""What Schemathesis must know to send the bodies of this project's HTTP interface: they are text."""

import schemathesis

schemathesis.serializer.alias(["application/sdp", "application/trickle-ice-sdpfrag"], "text/plain")
