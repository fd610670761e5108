"""Make ids of episodes."""

import os
import time


def new_episode() -> str:
    """Return a new episode id, which the gateway accepts before the first call of a stage.

    It is a UUIDv7. Its time is two seconds in the past, because the gateway refuses future times and clocks differ.
    """
    milliseconds = time.time_ns() // 1_000_000 - 2_000
    number = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    number = (number & ~(0xF << 76)) | (0x7 << 76)
    number = (number & ~(0x3 << 62)) | (0x2 << 62)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
