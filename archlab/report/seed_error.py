"""The error of figures over seeds, estimated from the runs of all compared networks together."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Figures = Mapping[Hashable, float]
"""The figures of one network by seed."""


@dataclass(frozen=True)
class SeedError:
    """The standard deviation of one run's figure over seeds, and the degrees of freedom that it is estimated from."""

    deviation: float
    freedom: int

    def draws(self, shape: tuple[int, int], seeds: int) -> Floats:
        """Return errors (resamples, networks) of means over `seeds` runs, from a fixed seed.

        Each is normal with the deviation's estimate, whose own error all networks of a resample share. So differences
        of two columns have Student's t.
        """
        random = np.random.default_rng(1)
        estimate = np.sqrt(random.chisquare(self.freedom, (shape[0], 1)) / self.freedom)
        errors: Floats = random.standard_normal(shape) / estimate * (self.deviation / math.sqrt(seeds))
        return errors


def seed_error(networks: Sequence[Figures], *, paired: bool = True) -> SeedError | None:
    """Return the error over seeds that some networks share; None if no degree of freedom is left.

    The figures are a network's level, plus, if `paired`, a seed's that all networks share, plus an error, fitted by
    least squares (the analysis of variance of randomised blocks; Box, Hunter and Hunter, Statistics for Experimenters,
    2nd edition, chapter 4). k networks by n seeds leave (k - 1) (n - 1) degrees of freedom, and k (n - 1) unpaired.
    Not all networks need all seeds.
    """
    runs = [(network, seed, value) for network, figures in enumerate(networks) for seed, value in figures.items()]
    levels = [{("network", network), *([("seed", seed)] if paired else [])} for network, seed, _ in runs]
    columns = sorted(set().union(*levels), key=repr)
    design = np.array([[float(column in level) for column in columns] for level in levels])
    if not runs or (freedom := len(runs) - int(np.linalg.matrix_rank(design))) < 1:
        return None
    values = np.array([value for _, _, value in runs])
    fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return SeedError(math.sqrt(float(((values - fitted) ** 2).sum()) / freedom), freedom)
