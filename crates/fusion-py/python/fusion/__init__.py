"""Private image classification that the client can check.

A server has a trained network, a client has images. The client gets the answers; the server never
sees the images, the client never sees the weights, and the client can tell when the server cheats
or serves a worse model than it advertised.

Owner of a model: :func:`prepare`, :func:`evaluate`, :func:`twin`, :func:`serve`. Client:
:class:`Client`, :class:`Report`, :func:`verify`. Arithmetic: :mod:`fusion.mix`. To try things on:
:mod:`fusion.digits`.

Long calls release Python's lock, so that other threads run, and Ctrl-C works in them.
"""

from . import digits, errors, mix
from ._fusion import __version__
from .client import Card, Client
from .errors import BadInput, BadModel, FusionError, Incomplete, Rejected, ServerUnavailable, Untrusted
from .model import Evaluation, Prepared, Twin, evaluate, prepare, twin
from .plan import Plan
from .report import Guarantee, Report, Run, verify
from .server import Server, serve

__all__ = [
    "BadInput",
    "BadModel",
    "Card",
    "Client",
    "Evaluation",
    "FusionError",
    "Guarantee",
    "Incomplete",
    "Plan",
    "Prepared",
    "Rejected",
    "Report",
    "Run",
    "Server",
    "ServerUnavailable",
    "Twin",
    "Untrusted",
    "__version__",
    "digits",
    "errors",
    "evaluate",
    "mix",
    "prepare",
    "serve",
    "twin",
    "verify",
]
