#!/usr/bin/env python3
"""Bits of work against every RLWE and Ring-SIS instance of fusion-rlwe, as tables for its README.

It asks the lattice-estimator (https://github.com/malb/lattice-estimator), which is neither copied
here nor a package; it needs parts of Sage, which PyPI has as wheels. About ten minutes:

    python3 -m venv /tmp/sage && /tmp/sage/bin/pip install passagemath-standard==10.8.13
    git clone https://github.com/malb/lattice-estimator /tmp/lattice-estimator
    git -C /tmp/lattice-estimator checkout 27a581bb8e9d49f5e9e2db315bd48ac769d5f5f5
    PYTHONPATH=/tmp/lattice-estimator /tmp/sage/bin/python crates/fusion-rlwe/security/estimate.py

The parameters are those of src/precision.rs. `cargo run -p fusion-rlwe --example security` takes
them from there and computes two of the columns without the estimator.
"""

from estimator import LWE, ND, RC, SIS
from math import log2

DEGREE = 2048
SECRET = ND.UniformMod(3)
ERROR = ND.CenteredBinomial(21)
MODELS = (RC.MATZOV, RC.ADPS16)
ATTACKS = (LWE.primal_usvp, LWE.primal_bdd, LWE.dual_hybrid)

MODULUS = 2**32

# log2 of the norm of what two openings of one hint make (crate documentation).
BINDINGS = (28, 30)


def bits(cost):
    return f"{log2(cost['rop']):.1f}"


def rlwe(samples):
    instance = LWE.Parameters(n=DEGREE, q=MODULUS, Xs=SECRET, Xe=ERROR, **samples)
    costs = [[attack(instance, red_cost_model=model) for attack in ATTACKS] for model in MODELS]
    cells = [bits(cost) for row in costs for cost in row] + [str(costs[1][0]["beta"])]
    print(f"| 2^32 | {' | '.join(cells)} |", flush=True)


def ring_sis():
    for bound in BINDINGS:
        instance = SIS.Parameters(n=DEGREE, q=MODULUS, length_bound=2**bound, norm=2)
        costs = [SIS.lattice(instance, red_cost_model=model) for model in MODELS]
        cells = [bits(cost) for cost in costs] + [str(costs[0]["beta"])]
        print(f"| 2^{bound} | {' | '.join(cells)} |", flush=True)


print("The client's secrets, as many samples as the attack wants:")
rlwe({})
print("The masks of the hint, one polynomial each:")
rlwe({"m": DEGREE})
print("Two openings of one hint:")
ring_sis()
