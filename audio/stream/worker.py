"""The process that turns one radio stream into Opus: ``python -m audio.stream.worker PARENT BIT_RATE GAIN_DB``.

Bytes of the stream come on stdin, utterances (:mod:`audio.stream.framing`) go to stdout. The jail is entered before
FFmpeg is loaded and sealed before the first byte is looked at, so it reaches nothing but its two pipes. Processor
time must be earned by sound that comes out.

Not here: what is done with the bytes (:mod:`audio.stream.encoding`); the network, pacing, restarts (the parent).
"""

from __future__ import annotations

import json
import sys
import time

from audio import jail
from audio.errors import AudioError
from audio.stream.framing import ERROR, FINISHED, frame

_MEMORY = 256 * 1024**2
_CPU_GRACE_S = 20.0


def main() -> int:
    """Encode until the bytes end."""
    parent, bit_rate, gain_db = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    # What is on air is not stepped back behind uploads.
    jail.enter(parent, niceness=0)
    from audio.stream.encoding import Inlet, Outlet, listen, warm_up  # noqa: PLC0415 - after the jail was entered

    out = sys.stdout.buffer
    # Unbuffered: what has arrived is decoded now, not when a buffer is full.
    stdin = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115 - a descriptor, ours to the end
    warm_up()
    outlet = Outlet(out, bit_rate, gain_db)
    jail.seal(_MEMORY, 0)
    _earn()
    try:
        listen(Inlet(stdin), outlet, _earn)
        outlet.finish()
        out.write(frame(FINISHED))
    except AudioError as error:
        out.write(frame(ERROR, json.dumps({"code": error.code, "message": str(error)}).encode()))
    except MemoryError:
        said = {"code": "too_demanding", "message": "this stream needs more memory than a radio stream may"}
        out.write(frame(ERROR, json.dumps(said).encode()))
    out.flush()
    return 0


def _earn() -> None:
    jail.allow_cpu(time.process_time() + _CPU_GRACE_S)


if __name__ == "__main__":
    sys.exit(main())
