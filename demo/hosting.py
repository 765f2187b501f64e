"""How the page is hosted: under which names and path, behind which proxy, in which frames, and how much one visitor may ask."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from var_mini import validate

ANY = "*"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
NAME = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
SHARED = "*.gradio.live"  # where Gradio's public links lead through


@dataclass(frozen=True)
class Hosting:
    """What whoever runs the server decides. All values are checked; see docs/hosting.md."""

    root_path: str = ""  # where the page lies behind a proxy: "/var-mini", or a whole address
    trusted_proxies: tuple[str, ...] = ()  # addresses or networks whose word about a visitor's address is taken
    allowed_hosts: tuple[str, ...] = ()  # names in addition to those that cannot be another site's; "*.x" is all below x, "*" any
    frame_ancestors: tuple[str, ...] = ()  # origins that may show the page in a frame, in addition to its own
    per_visitor: int = 6  # runs of one browser window that may wait or run
    per_address: int = 32  # the same of one address, which may be a whole class behind one router

    def __post_init__(self) -> None:
        if not isinstance(self.root_path, str) or not re.fullmatch(r"((https?://[^/\s]+)?(/[\w.~-]+)*/?)?", self.root_path):
            raise ValueError(f"root_path = {validate.shown(self.root_path)}: must be like /var-mini, or https://host/var-mini")
        for address in self.trusted_proxies:
            try:
                ipaddress.ip_network(address)
            except ValueError:
                raise ValueError(f"trusted_proxy = {validate.shown(address)}: must be an address or a network") from None
        for name in self.allowed_hosts:
            if name != ANY and not NAME.fullmatch(name.lower()):
                raise ValueError(f"allowed_host = {validate.shown(name)}: must be a host name, *.name, or *")
        for origin in self.frame_ancestors:
            if not re.fullmatch(r"\*|https?://(\*\.)?[\w.-]+(:\d+)?", origin):
                raise ValueError(f"frame_ancestor = {validate.shown(origin)}: must be like https://school.example, or *")
        validate.integer("per_visitor", self.per_visitor, 1, 64)
        validate.integer("per_address", self.per_address, 1, 1024)

    @property
    def prefix(self) -> str:
        """The path of the page behind the proxy, without the slash at its end."""
        return urlsplit(self.root_path).path.rstrip("/")

    def allows(self, host: str) -> bool:
        """Whether a request may name this host: an IP address, this machine's own name, or one of `allowed_hosts`.

        A page of another site can point a name of its own at this machine (DNS rebinding), but not an IP address.
        """
        name = _name(host)
        if name is None:
            return False
        below = tuple(allowed[1:].lower().rstrip(".") for allowed in self.allowed_hosts if allowed.startswith("*."))
        allowed = ANY in self.allowed_hosts or name.endswith(below) or self._is_own(name)
        return allowed or _is_address(name) or name in _own_names()

    def _is_own(self, name: str | None) -> bool:
        """Whether this name is given in full. One below a star may be somebody else's, so it says nothing of whose a page is."""
        given = [allowed.lower().rstrip(".") for allowed in self.allowed_hosts]
        return name is not None and (name in given or name == _name(urlsplit(self.root_path).netloc))

    def same_site(self, origin: str, host: str) -> bool:
        """Whether a request of this `Origin` comes from the page itself, which the request reached as `host`."""
        given = urlsplit(origin)
        if given.scheme not in ("http", "https") or not given.netloc:
            return False  # "null" too: a sandboxed frame or a local file
        return given.netloc.lower() == host.lower() or self._is_own(_name(given.netloc))

    def policy(self) -> str:
        """The Content-Security-Policy: nothing from elsewhere, and no frame but those allowed. Gradio evaluates scripts."""
        frames = ANY if ANY in self.frame_ancestors else " ".join(["'self'", *self.frame_ancestors])
        return (
            "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
            "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
            "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
            f"frame-ancestors {frames}"
        )


def _name(host: str) -> str | None:
    """The host of `host:port` in lower case; None where it is none."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return None
    return name.rstrip(".") if name else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _own_names() -> tuple[str, ...]:
    own = socket.gethostname().lower()
    return (*LOOPBACK, own, f"{own}.local")
