"""`python -m tokenforge.cli`: how our own processes are started."""

import sys

from tokenforge.cli.gateway_start import start_gateway

code = start_gateway(sys.argv[2:]) if sys.argv[1:2] == ["gateway"] else None
if code is not None:
    sys.exit(code)

from tokenforge.cli.main import run  # noqa: E402 - what is not needed for a gateway

run()
