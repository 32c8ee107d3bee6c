"""What Schemathesis must know to send the bodies of this project's HTTP interface, which are text."""

import schemathesis

schemathesis.serializer.alias(["application/sdp", "application/trickle-ice-sdpfrag"], "text/plain")


@schemathesis.hook
def filter_path_parameters(context: schemathesis.HookContext, path_parameters: dict[str, object] | None) -> bool:
    """Leave out values that Schemathesis would write into the path unescaped, so that it would ask for another path."""
    return not any(delimiter in str(value) for value in (path_parameters or {}).values() for delimiter in "/?#")
