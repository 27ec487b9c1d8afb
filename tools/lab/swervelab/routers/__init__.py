"""Real routers as neighbors of Swerve: BIRD 2, FRR, GoBGP, OpenBGPD and ExaBGP behind one interface (base.py)."""

from .base import Bfd, BfdSession, Peering, Route, Router, differences
from .bird import Bird
from .exabgp import ExaBgp
from .frr import Frr
from .gobgp import GoBgp
from .openbgpd import OpenBgpd

MAKES = {make.kind: make for make in (Bird, Frr, GoBgp, OpenBgpd, ExaBgp)}
# Those that can be the upstream of the lab, because their routes reach the kernel.
UPSTREAMS = {kind: make for kind, make in MAKES.items() if make.sets_kernel_routes}

__all__ = ["MAKES", "UPSTREAMS", "Bfd", "BfdSession", "Peering", "Route", "Router", "differences"]
