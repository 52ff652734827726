"""The network between this machine and a node: a pair of interfaces, and a range of addresses of their own."""

import json
import random
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network

from shared.local.state import CannotStart

_PRIVATE = ip_network("10.0.0.0/8")
_INSIDE = "eth0"
_FORWARDING = ("net.ipv4.ip_forward=1", "net.bridge.bridge-nf-call-iptables=1")


@dataclass(frozen=True, slots=True)
class Network:
    """One /16, of which this machine has an address; the rest is behind the node."""

    range: IPv4Network

    @property
    def host(self) -> str:
        """This machine's address, as the node and its pods reach it."""
        return str(self.range[1])

    @property
    def node(self) -> str:
        return str(self.range[2])

    @property
    def pods(self) -> str:
        return str(list(self.range.subnets(new_prefix=18))[1])

    @property
    def services(self) -> str:
        return str(list(self.range.subnets(new_prefix=18))[2])


def connect(interface: str, namespace_of: int) -> Network:
    """Join this machine and the network namespace of that process; it goes when the namespace does.

    The route is the claim of a range: of two that want the same one, the second is refused by the kernel.
    """
    _ip("link", "add", interface, "type", "veth", "peer", "name", _INSIDE, "netns", str(namespace_of))
    _ip("link", "set", interface, "up")
    network = _claim(interface)
    inside = ["nsenter", f"--target={namespace_of}", "--net"]
    _run([*inside, "ip", "link", "set", "lo", "up"])
    _run([*inside, "ip", "address", "add", f"{network.node}/30", "dev", _INSIDE])
    _run([*inside, "ip", "link", "set", _INSIDE, "up"])
    _run([*inside, "ip", "route", "add", "default", "via", network.host])
    _run([*inside, "sysctl", "--quiet", "--write", *_FORWARDING])
    return network


def _claim(interface: str) -> Network:
    taken = [ip_network(route["dst"]) for route in json.loads(_ip("-json", "-4", "route")) if route["dst"] != "default"]
    every = [network for network in _PRIVATE.subnets(new_prefix=16) if isinstance(network, IPv4Network)]
    free = [network for network in every if not any(network.overlaps(other) for other in taken)]
    for chosen in random.SystemRandom().sample(free, len(free)):
        network = Network(chosen)
        _ip("address", "replace", f"{network.host}/30", "dev", interface)
        try:
            _ip("route", "add", str(chosen), "via", network.node, "dev", interface)
        except CannotStart:
            _ip("address", "flush", "dev", interface)
        else:
            return network
    raise CannotStart("No range of 10.0.0.0/8 is free: every one has a route on this machine.")


def _ip(*arguments: str) -> str:
    return _run(["ip", *arguments])


def _run(command: Sequence[str]) -> str:
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise CannotStart(f"`{' '.join(command)}` failed: {answer.stderr.strip()}")
    return answer.stdout
