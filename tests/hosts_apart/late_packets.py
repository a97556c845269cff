"""A device that gives back each packet it gets, some time later: `late_packets.py NAME SECONDS`.

Source: Linux kernel documentation, "Universal TUN/TAP device driver".
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque

_SET_NAME = 0x400454CA  # TUNSETIFF
_LAYER_3, _PACKETS_ONLY = 0x0001, 0x1000  # IFF_TUN, IFF_NO_PI
_LARGEST = 65536


def _open(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(device, _SET_NAME, struct.pack("16sH22x", name.encode(), _LAYER_3 | _PACKETS_ONLY))
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    return device


def _forward(device: int, seconds: float) -> None:
    waiting: deque[tuple[float, bytes]] = deque()
    while True:
        patience = None if not waiting else max(0.0, waiting[0][0] - time.monotonic())
        readable, _, _ = select.select([device], [], [], patience)
        if readable:
            waiting.append((time.monotonic() + seconds, os.read(device, _LARGEST)))
        while waiting and waiting[0][0] <= time.monotonic():
            os.write(device, waiting.popleft()[1])


def main() -> None:
    """Do so until it is killed."""
    name, seconds = sys.argv[1:]
    device = _open(name)
    sys.stdout.write("up\n")
    sys.stdout.flush()
    _forward(device, float(seconds))


if __name__ == "__main__":
    main()
