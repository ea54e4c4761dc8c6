"""The parameters of the two levels of synthetic people; both use the same generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LevelName = Literal["quick", "full"]
Range = tuple[float, float]


@dataclass(frozen=True)
class Level:
    """The parameters of a scene; lengths in pixels, angles in degrees, shares between 0 and 1."""

    width: int
    height: int
    heights: Range  # a standing person's, drawn log-uniformly
    more_people: float  # mean of the Poisson number of people beyond the first
    clustered: float  # share of the further people that stand close to an earlier one
    centred: bool  # the person fills the picture; otherwise people stand on a ground plane
    families: tuple[tuple[str, float], ...]  # pose family and its share
    any_yaw: float  # share of people who face anywhere; the others face within `facing` of the camera
    facing: float
    roll_sigma: float
    any_roll: float  # share of people turned by any angle in the picture
    clutter_behind: float  # means of Poisson numbers
    clutter_among: float
    clutter_over: float
    tables: float  # share of people with something broad standing before their legs
    jpeg_quality: tuple[int, int]
    blur_sigma: Range
    noise_sigma: Range  # grey levels
    unlabelled: float  # share of plainly visible joints that the annotators leave out
    hidden_labelled: float  # share of hidden joints near the visible body that they guess; of the trunk's twice that


LEVELS: dict[LevelName, Level] = {
    "quick": Level(
        width=128,
        height=176,
        heights=(128.0, 156.0),
        more_people=0.0,
        clustered=0.0,
        centred=True,
        families=(("walking", 0.3), ("reaching", 0.7)),
        any_yaw=0.0,
        facing=50.0,
        roll_sigma=15.0,
        any_roll=0.0,
        clutter_behind=5.0,
        clutter_among=0.0,
        clutter_over=0.15,
        tables=0.0,
        jpeg_quality=(75, 95),
        blur_sigma=(0.4, 0.8),
        noise_sigma=(0.0, 4.0),
        unlabelled=0.0,
        hidden_labelled=1.0,
    ),
    "full": Level(
        width=640,
        height=480,
        heights=(80.0, 450.0),
        more_people=1.8,
        clustered=0.5,
        centred=False,
        families=(("standing", 0.35), ("walking", 0.2), ("sitting", 0.24), ("reaching", 0.18), ("lying", 0.03)),
        any_yaw=0.75,
        facing=75.0,
        roll_sigma=5.0,
        any_roll=0.03,
        clutter_behind=18.0,
        clutter_among=4.5,
        clutter_over=1.5,
        tables=0.16,
        jpeg_quality=(55, 95),
        blur_sigma=(0.4, 1.4),
        noise_sigma=(0.0, 9.0),
        unlabelled=0.06,
        hidden_labelled=0.2,
    ),
}
