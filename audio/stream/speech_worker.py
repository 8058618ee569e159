"""The process that encodes speech: ``python -m audio.stream.speech_worker PARENT BIT_RATE CHIME_BEFORE CHIME_AFTER``.

Frames (:mod:`audio.stream.framing`) come on stdin and go to stdout. The chimes (paths; empty for none) are our own
files and read before the jail is sealed; what a speaker sends is looked at afterwards, when nothing can be opened any
more. Processor time must be earned by frames that come in.

Not here: what is done with the frames (:mod:`audio.stream.speaking`).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from audio import jail
from audio.errors import AudioError
from audio.stream.framing import ERROR, FINISHED, frame

_MEMORY = 256 * 1024**2
_CPU_GRACE_S = 20.0


def main() -> int:
    """Encode until the pipe is closed."""
    parent, bit_rate = int(sys.argv[1]), int(sys.argv[2])
    jail.enter(parent, niceness=0)
    from audio.codec import OggOpusReader  # noqa: PLC0415 - after the jail was entered
    from audio.stream.speaking import Speaking, frames_of, warm_up  # noqa: PLC0415

    out = sys.stdout.buffer
    stdin = open(sys.stdin.fileno(), "rb", closefd=False)  # noqa: SIM115 - a descriptor, ours to the end
    chimes = {}
    for letter, name in ((b"b", sys.argv[3]), (b"a", sys.argv[4])):
        if name:
            with OggOpusReader(Path(name)) as reader:
                chimes[letter] = reader.read(0, reader.frames)
    warm_up()
    speaking = Speaking(out, bit_rate, chimes)
    jail.seal(_MEMORY, 0)
    try:
        for kind, body in frames_of(stdin):
            jail.allow_cpu(time.process_time() + _CPU_GRACE_S)
            speaking.take(kind, body)
        out.write(frame(FINISHED))
    except AudioError as error:
        out.write(frame(ERROR, json.dumps({"code": error.code, "message": str(error)}).encode()))
    except MemoryError:
        out.write(frame(ERROR, json.dumps({"code": "too_demanding", "message": "too much memory"}).encode()))
    out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
