"""Who asks: a visitor is a browser window (Gradio's session) at an address; and whose turn it is among several of them."""

from __future__ import annotations

import contextvars
import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

REMEMBERED = 4096  # visitors and addresses whose last turn is known
SCOPE = "var_mini.visitor"  # under this name a request carries its visitor
T = TypeVar("T")


@dataclass(frozen=True)
class Visitor:
    """`session` is empty where a request names none; then the address alone counts."""

    address: str
    session: str = ""
    language: str = field(default="en", compare=False)


NOBODY = Visitor("")
CURRENT: contextvars.ContextVar[Visitor] = contextvars.ContextVar("visitor", default=NOBODY)  # of the request being answered


def address_of(scope: dict) -> str:
    """The address that a request came from, which uvicorn has replaced with the forwarded one where a proxy is trusted.

    Of an IPv6 address the network: one household has 2^64 of them.
    """
    client = scope.get("client")
    host = str(client[0]) if client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:100]
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def of(request) -> Visitor:
    """The visitor of a Starlette request (or Gradio's wrapper of one) that passed the guard."""
    scope = getattr(getattr(request, "request", request), "scope", None) or {}
    return scope.get(SCOPE) or Visitor(address_of(scope))


class Turns:
    """Fair order: the address served longest ago goes first, within it the visitor served longest ago, then who came first."""

    def __init__(self) -> None:
        self.last: OrderedDict[object, int] = OrderedDict()  # of an address or a visitor: number of its last turn
        self.count = 0

    def served(self, visitor: Visitor) -> None:
        self.count += 1
        for key in (visitor.address, visitor):
            self.last[key] = self.count
            self.last.move_to_end(key)
        while len(self.last) > REMEMBERED:
            self.last.popitem(last=False)

    def order(self, waiting: Sequence[T], visitor: Callable[[T], Visitor]) -> list[T]:
        """Everybody who waits, given in the order of arrival, in the order of their turns."""
        last, count, left, ordered = {}, self.count, list(waiting), []

        def turn(key) -> int:
            return last.get(key, self.last.get(key, 0))

        while left:
            first = min(left, key=lambda one: (turn(visitor(one).address), turn(visitor(one))))  # of equal ones the earliest
            left.remove(first)
            ordered.append(first)
            count += 1
            last[visitor(first).address] = last[visitor(first)] = count
        return ordered
