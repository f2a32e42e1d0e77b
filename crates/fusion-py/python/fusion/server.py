"""A server in this process."""

from __future__ import annotations

import json
import os
from types import TracebackType

from . import _fusion
from .client import path_or_none

__all__ = ["Server", "serve"]


class Server:
    """A running server; a context manager that shuts it down. Made by :func:`fusion.serve`."""

    def __init__(self, native: _fusion.Server) -> None:
        self._native = native

    @property
    def address(self) -> str:
        """``host:port`` that it listens on."""
        return self._native.address

    @property
    def lanes_running(self) -> int | None:
        """Lanes that run now; None if it was shut down."""
        return self._native.lanes_running

    def shutdown(self, grace: float = 0.0) -> None:
        """Takes no more lanes, lets those that run end for a while, and then ends them.

        Parameters
        ----------
        grace : float
            Seconds that running lanes get.
        """
        self._native.shutdown(grace)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.shutdown()

    def __repr__(self) -> str:
        running = self.lanes_running
        return f"<fusion.Server at {self.address}, {'shut down' if running is None else f'{running} lanes running'}>"


def serve(
    *packages: str | os.PathLike[str],
    listen: str = "127.0.0.1:0",
    tls_cert: str | os.PathLike[str] | None = None,
    tls_key: str | os.PathLike[str] | None = None,
    client_ca: str | os.PathLike[str] | None = None,
    token: str | None = None,
    insecure: bool = False,
    max_lanes: int | None = None,
    max_lanes_per_client: int | None = None,
    max_lane_samples: int | None = None,
    lane_seconds: float | None = None,
    cheat: str | None = None,
) -> Server:
    """Serves packages until it is shut down. Its threads run beside Python.

    Parameters
    ----------
    *packages : path
        What :func:`fusion.prepare` wrote, or folders of such packages. Of several models clients
        choose one by its name or digest.
    listen : str
        Address to listen on, an IP address and a port; port 0 takes any free one.
    tls_cert, tls_key : path, optional
        PEM files of the certificate chain and its private key. Without them connections are
        plaintext, which is refused on an address that others can reach.
    client_ca : path, optional
        PEM file of the authorities whose client certificates are let in: mutual TLS.
    token : str, optional
        Bearer token that clients must present.
    insecure : bool
        Allow plaintext on an address that others can reach.
    max_lanes, max_lanes_per_client, max_lane_samples : int, optional
        Lanes at the same time, in all and of one client; samples in one lane.
    lane_seconds : float, optional
        Seconds after which a lane ends whatever it does.
    cheat : str, optional
        Deviate from the protocol, to see verification catch it: ``"samples=RATE"``,
        ``"lanes=RATE"``, ``"layer=STEP"`` or ``"bit"``.

    Returns
    -------
    Server

    Raises
    ------
    fusion.errors.BadModel
        If a package is damaged.

    Examples
    --------
    >>> with fusion.serve(package) as running:
    ...     running.lanes_running
    0
    """
    keywords = {
        "listen": listen,
        "tls_cert": path_or_none(tls_cert),
        "tls_key": path_or_none(tls_key),
        "client_ca": path_or_none(client_ca),
        "token": token,
        "insecure": insecure,
        "max_lanes": max_lanes,
        "max_lanes_per_client": max_lanes_per_client,
        "max_lane_samples": max_lane_samples,
        "lane_seconds": lane_seconds,
        "cheat": cheat,
    }
    return Server(_fusion.serve([os.path.abspath(os.fspath(package)) for package in packages], json.dumps(keywords)))
