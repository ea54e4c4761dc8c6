"""A person's skeleton: limb lengths drawn per person, joint angles drawn per pose family, joints in metres.

Body frame: x to the person's left, y up, z forward; the origin is between the hips.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from archlab.tasks.pose.synthetic.arrays import Array

Joints = dict[str, Array]  # name and point (3,)
_LENGTHS = np.array((0.37, 0.22, 0.50, 0.29, 0.26, 0.43, 0.42, 0.18))  # shoulders to foot at a stature of 1.75 m
SIDES = (("left", 1.0), ("right", -1.0))


@dataclass(frozen=True)
class Build:
    """A body's lengths in metres; `girth` scales every radius."""

    stature: float
    head: float  # 1 for an adult's head, 0.23 m high
    girth: float
    shoulders: float
    hips: float
    torso: float
    upper_arm: float
    forearm: float
    thigh: float
    shank: float
    foot: float


@dataclass(frozen=True)
class Limb:
    """A limb's angles in degrees.

    raise_: forward from hanging. spread: sideways. bend: of elbow or knee. turn: of an elbow inward.
    """

    raise_: float
    spread: float
    bend: float
    turn: float = 0.0


@dataclass(frozen=True)
class Pose:
    """A body's angles in degrees.

    recline: of the whole body backward; at 90 it lies on its back. seat: whether there is something to sit on.
    """

    left_arm: Limb
    right_arm: Limb
    left_leg: Limb
    right_leg: Limb
    lean: float
    side_bend: float
    twist: float
    head_turn: float
    head_nod: float
    recline: float = 0.0
    seat: bool = False


def draw_build(rng: np.random.Generator) -> Build:
    """Draw an adult or, with probability 1/8, a child with shorter limbs and a relatively larger head."""
    child = rng.random() < 0.125
    stature = float(rng.uniform(1.0, 1.4)) if child else float(np.clip(rng.normal(1.7, 0.09), 1.5, 1.95))
    head = (0.8 if child else 1.0) * float(np.clip(rng.normal(1.0, 0.05), 0.9, 1.1))
    girth = float(np.clip(rng.lognormal(0.25, 0.16), 0.9, 1.8)) * stature / 1.75
    shape = np.clip(1 + 0.05 * rng.standard_normal(8), 0.88, 1.12) * (stature / 1.75)
    lengths: list[float] = (shape * _LENGTHS).tolist()
    return Build(stature, head, girth, *lengths)


def _arm(rng: np.random.Generator) -> Limb:
    """Draw an arm that hangs, is bent, akimbo or lifted."""
    kind = rng.random()
    if kind < 0.4:
        return Limb(rng.normal(0, 12), rng.uniform(4, 22), rng.uniform(0, 35), rng.uniform(-10, 40))
    if kind < 0.65:
        return Limb(rng.uniform(-15, 30), rng.uniform(5, 30), rng.uniform(60, 125), rng.uniform(-10, 80))
    if kind < 0.78:
        return Limb(rng.uniform(-35, -10), rng.uniform(30, 50), rng.uniform(70, 105), rng.uniform(50, 90))
    return Limb(rng.uniform(20, 110), rng.uniform(0, 70), rng.uniform(0, 110), rng.uniform(-30, 70))


def _lifted_arm(rng: np.random.Generator) -> Limb:
    if rng.random() < 0.5:
        return Limb(rng.uniform(70, 175), rng.uniform(0, 45), rng.uniform(0, 80), rng.uniform(-40, 60))
    return Limb(rng.uniform(-20, 30), rng.uniform(60, 165), rng.uniform(0, 100), rng.uniform(-150, 60))


def _trunk(
    rng: np.random.Generator, lean: float = 0.0, spread: float = 1.0
) -> tuple[float, float, float, float, float]:
    lean, bend, twist, turn, nod = rng.normal((lean, 0, 0, 0, 5), spread * np.array((6.0, 5.0, 10.0, 25.0, 10.0)))
    return float(lean), float(bend), float(twist), float(np.clip(turn, -70, 70)), float(nod)


def standing(rng: np.random.Generator) -> Pose:
    legs = [Limb(rng.normal(3, 6), rng.uniform(0, 12), abs(rng.normal(0, 9))) for _ in SIDES]
    return Pose(_arm(rng), _arm(rng), legs[0], legs[1], *_trunk(rng))


def walking(rng: np.random.Generator) -> Pose:
    """Draw a stride of either leg, with arms swinging against it; a quarter of the arms do something else."""
    stride, first = rng.uniform(12, 42), 1.0 if rng.random() < 0.5 else -1.0
    swing = rng.uniform(5, 1.1 * stride)
    arms, legs = [], []
    for _, side in SIDES:
        ahead = side * first  # 1 for the side whose leg is in front
        bend = rng.uniform(0, 20) if ahead > 0 else rng.uniform(15, 75)
        legs.append(Limb(ahead * stride, rng.uniform(0, 6), bend))
        swung = Limb(-ahead * swing, rng.uniform(3, 15), rng.uniform(5, 80), rng.uniform(-5, 30))
        arms.append(_arm(rng) if rng.random() < 0.25 else swung)
    return Pose(arms[0], arms[1], legs[0], legs[1], *_trunk(rng, lean=5 + 0.2 * stride))


def sitting(rng: np.random.Generator) -> Pose:
    legs = [Limb(rng.uniform(65, 100), rng.uniform(0, 28), rng.uniform(55, 110)) for _ in SIDES]
    trunk = _trunk(rng, lean=rng.uniform(-15, 30))
    return Pose(_arm(rng), _arm(rng), legs[0], legs[1], *trunk, seat=rng.random() < 0.7)


def reaching(rng: np.random.Generator) -> Pose:
    """Draw one or both arms lifted high or far; legs apart, in a lunge or a squat."""
    arms = [_lifted_arm(rng), _lifted_arm(rng) if rng.random() < 0.45 else _arm(rng)]
    if rng.random() < 0.5:
        arms.reverse()
    depth = rng.uniform(0, 75) if rng.random() < 0.45 else 0.0
    legs = [Limb(depth * rng.uniform(0.4, 1.1) + rng.normal(0, 10), rng.uniform(0, 32), depth * rng.uniform(0.6, 1.5))
            for _ in SIDES]  # fmt: skip
    return Pose(arms[0], arms[1], legs[0], legs[1], *_trunk(rng, lean=0.35 * depth, spread=1.8))


def lying(rng: np.random.Generator) -> Pose:
    legs = [Limb(rng.uniform(0, 60), rng.uniform(0, 25), rng.uniform(0, 90)) for _ in SIDES]
    recline = rng.uniform(75, 100) if rng.random() < 0.6 else rng.uniform(-100, -75)
    return Pose(_arm(rng), _lifted_arm(rng), legs[0], legs[1], *_trunk(rng), recline=recline)


FAMILIES: dict[str, Callable[[np.random.Generator], Pose]] = {
    "standing": standing,
    "walking": walking,
    "sitting": sitting,
    "reaching": reaching,
    "lying": lying,
}


def rotation(axis: int, degrees: float) -> Array:
    """Return the right-handed rotation (3, 3) about one axis of the frame."""
    a = np.radians(degrees)
    c, s = np.cos(a), np.sin(a)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    turn = np.eye(3)
    turn[i, i] = turn[j, j] = c
    turn[i, j], turn[j, i] = -s, s
    return turn


def _directions(limb: Limb, side: float, *, knee: bool) -> tuple[Array, Array]:
    """Return the unit vectors of a limb's two bones; a knee bends backward, an elbow forward or (`turn`) inward."""
    f, a, b, t = np.radians((limb.raise_, limb.spread, limb.bend, limb.turn))
    upper = np.array((side * np.sin(a), -np.cos(a) * np.cos(f), np.cos(a) * np.sin(f)))
    forward = np.array((0.0, np.sin(f), np.cos(f)))
    inward = np.array((-side * np.cos(a), -np.sin(a) * np.cos(f), np.sin(a) * np.sin(f)))
    hinge = -forward if knee else np.cos(t) * forward + np.sin(t) * inward
    return upper, np.cos(b) * upper + np.sin(b) * hinge


def joints(build: Build, pose: Pose) -> tuple[Joints, Array]:
    """Return named points in the body frame, and the head's frame as a (3, 3) rotation."""
    trunk = rotation(0, pose.lean) @ rotation(2, pose.side_bend) @ rotation(1, pose.twist)
    neck = trunk @ (0, build.torso + 0.02, 0)
    head_frame = trunk @ rotation(1, pose.head_turn) @ rotation(0, pose.head_nod - 0.6 * pose.lean)
    points: Joints = {"pelvis": np.zeros(3), "neck": neck, "waist": trunk @ (0, 0.3 * build.torso, 0)}
    points["chest"] = trunk @ (0, 0.72 * build.torso, 0)
    points["head"] = neck + build.head * (trunk @ (0, 0.10, 0.015) + head_frame @ (0, 0.085, 0.02))
    arms, legs = (pose.left_arm, pose.right_arm), (pose.left_leg, pose.right_leg)
    for (name, side), arm, leg in zip(SIDES, arms, legs, strict=True):
        points.update(_arm_points(name, side, build, trunk, arm))
        points.update(_leg_points(name, side, build, leg))
        points.update(_head_points(name, side, build, points["head"], head_frame))
    points["nose"] = points["head"] + build.head * (head_frame @ (0, -0.015, 0.108))
    recline = rotation(0, -pose.recline)
    return {name: recline @ point for name, point in points.items()}, recline @ head_frame


def _arm_points(name: str, side: float, build: Build, trunk: Array, arm: Limb) -> Joints:
    shoulder = trunk @ (side * build.shoulders / 2, build.torso - 0.01, 0)
    upper, lower = (trunk @ bone for bone in _directions(arm, side, knee=False))
    elbow = shoulder + build.upper_arm * upper
    wrist = elbow + build.forearm * lower
    return {f"{name}_shoulder": shoulder, f"{name}_elbow": elbow, f"{name}_wrist": wrist,
            f"{name}_hand": wrist + 0.32 * build.forearm * lower}  # fmt: skip


def _leg_points(name: str, side: float, build: Build, leg: Limb) -> Joints:
    """Return the points from hip to toe; the foot is perpendicular to the shank, turned slightly outward."""
    hip = np.array((side * build.hips / 2, 0.0, 0.0))
    upper, lower = _directions(leg, side, knee=True)
    knee = hip + build.thigh * upper
    ankle = knee + build.shank * lower
    forward = np.array((0.25 * side, 0.0, 1.0))
    forward = forward - lower * (forward @ lower) * 0.8
    forward /= np.linalg.norm(forward)
    down = 0.3 * build.foot * lower
    return {f"{name}_hip": hip, f"{name}_knee": knee, f"{name}_ankle": ankle,
            f"{name}_heel": ankle + down - 0.2 * build.foot * forward,
            f"{name}_toe": ankle + 1.1 * down + 0.85 * build.foot * forward}  # fmt: skip


def _head_points(name: str, side: float, build: Build, head: Array, frame: Array) -> Joints:
    eye, ear = np.array((side * 0.033, 0.022, 0.086)), np.array((side * 0.078, 0.0, -0.008))
    return {f"{name}_eye": head + build.head * (frame @ eye), f"{name}_ear": head + build.head * (frame @ ear)}
