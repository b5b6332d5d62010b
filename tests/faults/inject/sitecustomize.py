"""Faults from within: Python imports this file at its start, where its folder is on PYTHONPATH.

FAULT_KILL=N kills the process (SIGKILL) just before its N-th change to the file system below run/.
FAULT_CLOCK=SECONDS sets the clock on the wall by so much, as soon as a cell was started: to one side and to the other,
every 0.4 seconds.
"""

import os
import signal
import sys
import threading
import time

CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "open"}


def is_change(event, arguments):
    if event not in CHANGES or not isinstance(arguments[0], str) or "run" not in arguments[0].split("/"):
        return False
    return event != "open" or bool((arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def kill_at(number):
    left = [number]

    def count(event, arguments):
        if is_change(event, arguments):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def jump(seconds):
    real, began = time.time, []

    def shifted():
        if not began:
            return real()
        return real() + (-seconds if int((time.monotonic() - began[0]) / 0.4) % 2 else seconds)

    def watch():
        while not os.path.exists("started"):
            time.sleep(0.05)
        began.append(time.monotonic())

    threading.Thread(target=watch, daemon=True).start()
    time.time = shifted
    time.time_ns = lambda: int(shifted() * 1e9)


if number := os.environ.pop("FAULT_KILL", ""):  # not for the workers
    kill_at(int(number))
if seconds := os.environ.get("FAULT_CLOCK", ""):
    jump(float(seconds))
