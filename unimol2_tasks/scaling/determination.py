"""Which terms of a fitted law the data determine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unimol2_tasks.scaling.fit import EXPONENT_RANGE, FittedLaw
from unimol2_tasks.scaling.resampling import Interval, Replica, central_interval

_WIDEST = 10.0
"""Ratio of an interval's ends from which its term counts as not determined: an order of magnitude."""
_NEGLIGIBLE = 0.01
"""Share of the loss below which a term is not seen at all."""
_EXPONENTS = {"size": "b", "steps": "d", "compute": "f"}


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a law at a point: the largest fitted size at its last step."""

    name: str
    """size, steps or compute."""
    loss: float
    """Its part of the loss."""
    share: float
    """Its part of the whole."""
    interval: Interval
    """95 % interval of `loss`."""
    doubt: str
    """Why the data do not determine it; empty where they do."""


def judge_terms(
    fitted: FittedLaw, replicas: Sequence[Replica], millions: float, steps: float
) -> tuple[Term, ...]:
    """Say how large each term is at a point, and whether the data determine it.

    The bare weights a, c and e say little: they are a term's value at M = 1 or S = 1, often far from any
    measurement, and move with the exponent.

    Args:
        fitted: The law.
        replicas: Its refits, at least one.
        millions: Size of the network at the point.
        steps: Optimiser steps there.
    """
    here = {name: float(value) for name, value in fitted.law.terms(millions, steps).items()}
    drawn = [replica.law.terms(millions, steps) for replica in replicas]
    names = ["size", "steps", *([] if fitted.third == "none" else ["compute"])]
    terms = []
    for name in names:
        interval = central_interval([float(values[name]) for values in drawn])
        share = here[name] / sum(here.values())
        exponents = central_interval([getattr(replica.law, _EXPONENTS[name]) for replica in replicas])
        free = name != "compute" or fitted.third == "compute"
        terms.append(Term(name, here[name], share, interval, _doubt(share, interval, exponents, free)))
    return tuple(terms)


def _doubt(share: float, interval: Interval, exponents: Interval, free: bool) -> str:
    low, high = interval
    if low <= 0 or high / low > _WIDEST:
        span = "from nothing" if low <= 0 else f"over {np.log10(high / low):.1f} orders of magnitude"
        return f"not determined: its part of the loss runs {span} ({low:.2g} to {high:.2g})"
    if share < _NEGLIGIBLE:
        return f"not seen: {share:.1%} of the loss"
    lowest, highest = EXPONENT_RANGE
    if free and (exponents[0] <= lowest * 0.99 or exponents[1] >= highest * 1.01):
        return f"exponent at a bound of the fit: {exponents[0]:.3g} to {exponents[1]:.3g}"
    return ""
