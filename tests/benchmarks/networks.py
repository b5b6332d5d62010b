"""Network namespaces on a bridge, like machines in one network, where this machine lets them be made (root, Linux)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


class Networks:
    """Some namespaces, their addresses, and what to put before a command so that it runs in one."""

    def __init__(self, names: list[str]) -> None:
        tag = f"{os.getpid() % 46656:x}"
        self.bridge = f"pf{tag}br"
        self.subnet = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
        self.spaces = {name: f"pf{tag}{index}" for index, name in enumerate(names)}
        self.addresses = {name: f"{self.subnet}.{index + 2}" for index, name in enumerate(names)}

    def inside(self, name: str, hidden: str) -> list[str]:
        """Before a command: it runs in this namespace, and sees an empty folder instead of the hidden one."""
        shell = f'mount -t tmpfs none "{hidden}" && exec "$@"'
        return ["ip", "netns", "exec", self.spaces[name], "sh", "-c", shell, "sh"]

    def make(self) -> None:
        """Raise CalledProcessError where this is not allowed."""
        _ip("link", "add", self.bridge, "type", "bridge")
        _ip("addr", "add", f"{self.subnet}.1/24", "dev", self.bridge)
        _ip("link", "set", self.bridge, "up")
        for name, space in self.spaces.items():
            _ip("netns", "add", space)
            _ip("link", "add", f"{space}v", "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", f"{space}v", "master", self.bridge, "up")
            _ip("-n", space, "addr", "add", f"{self.addresses[name]}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
            _ip("-n", space, "link", "set", "lo", "up")

    def remove(self) -> None:
        """Take all of it away, as far as it is there."""
        for space in self.spaces.values():
            subprocess.run(["ip", "netns", "del", space], stderr=subprocess.DEVNULL, check=False)
        subprocess.run(["ip", "link", "del", self.bridge], stderr=subprocess.DEVNULL, check=False)


@contextmanager
def networks(*names: str) -> Iterator[Networks | None]:
    """Namespaces of these names; None where this machine does not allow them."""
    found = Networks(list(names))
    if shutil.which("ip") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        yield None
        return
    try:
        try:
            found.make()
        except (OSError, subprocess.CalledProcessError):
            yield None
        else:
            yield found
    finally:
        found.remove()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
