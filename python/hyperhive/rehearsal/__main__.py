"""`python -m hyperhive.rehearsal`: serve until SIGTERM; the first line of output is {"port": N}."""

from __future__ import annotations

import argparse
import json
import signal
import sys

from hyperhive.rehearsal.play import play
from hyperhive.rehearsal.server import RehearsalServer


def main() -> int:
    """Parse the port, say where we listen, serve."""
    parser = argparse.ArgumentParser(prog="python -m hyperhive.rehearsal", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one (default)")
    port = parser.parse_args().port
    try:
        server = RehearsalServer(port, play)
    except OSError as error:
        print(f"error: port {port} of 127.0.0.1 cannot be used: {error.strerror}; choose another", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(json.dumps({"port": server.port}), flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
