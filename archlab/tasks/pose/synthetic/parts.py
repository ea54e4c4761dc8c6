"""A body's surface: parts made of spheres whose convex hull is the part's outline in any view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archlab.tasks.pose.synthetic.arrays import Array
from archlab.tasks.pose.synthetic.body import SIDES, Build, Joints

Sphere = tuple[Array, float]  # centre and radius, metres


@dataclass(frozen=True)
class Part:
    """One convex piece of a body. axis: the direction of its texture. nearer: breaks ties in depth, metres."""

    name: str
    tile: str
    spheres: tuple[Sphere, ...]
    axis: tuple[Array, Array]
    nearer: float = 0.0
    mine: bool = True  # part of the person, not of the seat


@dataclass(frozen=True)
class Dress:
    """A person's clothes, equal on both sides."""

    sleeves: float  # share of the arm that is covered, 0 to 2 (elbow at 1, wrist at 2)
    legs: float  # likewise of the leg
    skirt: float  # share of the thigh, 0 for none
    hair: str  # none, short, long, tail
    loose: float  # of the clothes, a factor on the radii
    cap: bool
    beard: bool


def draw_dress(rng: np.random.Generator) -> Dress:
    sleeve, leg, hair = rng.random(3)
    skirt = float(rng.uniform(0.5, 1.1)) if rng.random() < 0.14 else 0.0
    legs = 0.3 if skirt else (2.0 if leg < 0.68 else float(rng.uniform(0.5, 1.1)))
    return Dress(
        sleeves=2.0 if sleeve < 0.5 else (float(rng.uniform(0.4, 0.9)) if sleeve < 0.88 else 0.0),
        legs=legs,
        skirt=skirt,
        hair="none" if hair < 0.06 else ("short" if hair < 0.6 else ("long" if hair < 0.85 else "tail")),
        loose=float(rng.uniform(1.0, 1.5)),
        cap=bool(rng.random() < 0.12),
        beard=bool(rng.random() < 0.12),
    )


def surface(build: Build, dress: Dress, points: Joints, head_frame: Array) -> list[Part]:
    """Return all parts of a clothed body."""
    parts = _trunk(build, dress, points)
    for side, sign in SIDES:
        parts += _arm(build, dress, points, side) + _leg(build, dress, points, side)
        parts += _face_half(build, points, head_frame, side, sign)
    return parts + _head(build, dress, points, head_frame)


def _capsule(name: str, tile: str, a: Array, ra: float, b: Array, rb: float, nearer: float = 0.0) -> Part:
    return Part(name, tile, ((a, ra), (b, rb)), (a, b), nearer)


def _trunk(build: Build, dress: Dress, p: Joints) -> list[Part]:
    g, hips = build.girth, (p["left_hip"], p["right_hip"])
    shoulders = (p["left_shoulder"], p["right_shoulder"])
    across = (shoulders[0] - shoulders[1]) / 2
    drop = 0.14 * (p["waist"] - p["neck"])
    chest = [(s + drop * 0.6 - 0.12 * (s - p["neck"]), 0.06 * g) for s in shoulders]
    chest += [(p["chest"] + sign * 0.42 * across, 0.108 * g * (0.6 + 0.4 * dress.loose)) for sign in (1, -1)]
    waist = [(p["waist"] + sign * 0.3 * across, 0.095 * g * dress.loose) for sign in (1, -1)]
    seat = [(0.85 * hip + np.array((0, 0.0, -0.01)), 0.1 * g) for hip in hips]
    spine = (p["neck"], p["pelvis"])
    parts = [
        Part("chest", "top", tuple(chest + waist), spine),
        Part("pelvis", "bottom", tuple([(c, 0.93 * r) for c, r in waist] + seat), spine, 0.01),
        _capsule("neck", "skin", p["neck"] + 0.3 * drop, 0.05 + 0.01 * g, p["head"], 0.05, 0.02),
    ]
    if dress.skirt:
        hem = [
            (hip + dress.skirt * (p[f"{side}_knee"] - hip), 0.11 * g)
            for (side, _), hip in zip(SIDES, hips, strict=True)
        ]
        parts.append(Part("skirt", "bottom", tuple(seat + hem), (p["pelvis"], (hem[0][0] + hem[1][0]) / 2), 0.05))
    return parts


def seat(rng: np.random.Generator, build: Build) -> list[Part]:
    """Draw a stool's or chair's block under the hips and, with probability 1/2, a back; upright in the body frame."""
    wide, top, leg = rng.uniform((0.16, -0.19, 0.2), (0.3, -0.15, 0.5)).tolist()
    down = (np.array((0.0, 1.0, 0.0)), np.zeros(3))
    block = [np.array((x, y, z)) for x in (-wide, wide) for y in (top, top - leg) for z in (-0.2, 0.18)]
    parts = [Part("seat", "seat", tuple((corner, 0.04) for corner in block), down, -0.02, mine=False)]
    if rng.random() < 0.5:
        height = float(rng.uniform(0.25, 0.6))
        back = [np.array((x, y, -0.17 * build.girth - 0.06)) for x in (-wide, wide) for y in (top, height)]
        parts.append(Part("back", "seat", tuple((corner, 0.03) for corner in back), down, -0.02, mine=False))
    return parts


def _limb(
    name: str, points: tuple[Array, ...], radii: tuple[float, ...], covered: float, cloth: str, nearer: float
) -> list[Part]:
    """Return two capsules, and a third if a sleeve ends between joints. name: a pattern like left_%s_arm."""
    parts = []
    for i, part in enumerate(("upper", "lower")):
        a, b, ra, rb = points[i], points[i + 1], radii[i], radii[i + 1]
        share = min(max(covered - i, 0.0), 1.0)
        parts.append(_capsule(name % part, cloth if share == 1 else "skin", a, ra, b, rb, nearer))
        if 0 < share < 1:
            end = ra + share * (rb - ra)
            parts.append(_capsule(name % part, cloth, a, ra + 0.006, a + share * (b - a), end + 0.012, nearer + 0.02))
    return parts


def _arm(build: Build, dress: Dress, p: Joints, side: str) -> list[Part]:
    g = build.girth
    points = (p[f"{side}_shoulder"], p[f"{side}_elbow"], p[f"{side}_wrist"])
    loose = dress.loose if dress.sleeves == 2 else 1.0
    radii = (0.058 * g, 0.044 * g * loose, 0.03 * g * loose)
    parts = _limb(f"{side}_%s_arm", points, radii, dress.sleeves, "top", 0.03)
    return [*parts, _capsule(f"{side}_hand", "skin", points[2], 0.028 * g, p[f"{side}_hand"], 0.036 * g, 0.03)]


def _leg(build: Build, dress: Dress, p: Joints, side: str) -> list[Part]:
    g = build.girth
    points = (0.9 * p[f"{side}_hip"], p[f"{side}_knee"], p[f"{side}_ankle"])
    loose = dress.loose if dress.legs == 2 else 1.0
    radii = (0.096 * g, 0.062 * g * loose, 0.043 * g * loose)
    parts = _limb(f"{side}_%s_leg", points, radii, dress.legs, "bottom", 0.0)
    return [*parts, _capsule(f"{side}_foot", "shoe", p[f"{side}_heel"], 0.042 * g, p[f"{side}_toe"], 0.032 * g, 0.02)]


def _head(build: Build, dress: Dress, p: Joints, frame: Array) -> list[Part]:
    h = build.head

    def at(x: float, y: float, z: float) -> Array:
        return np.asarray(p["head"] + h * (frame @ (x, y, z)))

    skull = ((at(0, 0.025, -0.008), 0.094 * h), (at(0, -0.062, 0.03), 0.056 * h))
    axis = (at(0, 0.11, 0), at(0, -0.11, 0))
    parts = [Part("head", "skin", skull, axis, 0.02)]
    if dress.hair != "none":
        parts.append(
            Part("hair", "hair", ((at(0, 0.045, -0.045), 0.098 * h), (at(0, -0.03, -0.05), 0.075 * h)), axis, 0.03)
        )
        fringe = (
            (at(0.03, 0.088, 0.035), 0.04 * h),
            (at(-0.03, 0.088, 0.035), 0.04 * h),
            (at(0, 0.075, -0.05), 0.075 * h),
        )
        parts.append(Part("hair", "hair", fringe, (at(0.1, 0.1, 0), at(-0.1, 0.1, 0)), 0.04))
    if dress.hair == "long":
        parts.append(
            Part("hair", "hair", ((at(0, 0.03, -0.05), 0.1 * h), (at(0, -0.2, -0.075), 0.085 * h)), axis, -0.01)
        )
    if dress.hair == "tail":
        parts.append(_capsule("hair", "hair", at(0, 0.04, -0.12), 0.035 * h, at(0, -0.17, -0.15), 0.02 * h))
    if dress.cap:
        parts.append(Part("hair", "top", ((at(0, 0.06, -0.01), 0.1 * h), (at(0, 0.075, 0.03), 0.085 * h)), axis, 0.05))
        parts.append(Part("hair", "top", ((at(0.05, 0.065, 0.09), 0.02 * h), (at(-0.05, 0.065, 0.09), 0.02 * h),
                                          (at(0, 0.06, 0.16), 0.02 * h)), axis, 0.05))  # fmt: skip
    if dress.beard:
        parts.append(
            Part(
                "face",
                "hair",
                ((at(0.03, -0.085, 0.045), 0.035 * h), (at(-0.03, -0.085, 0.045), 0.035 * h)),
                axis,
                0.04,
            )
        )
    parts.append(
        Part("face", "lip", ((at(0.02, -0.062, 0.083), 0.007 * h), (at(-0.02, -0.062, 0.083), 0.007 * h)), axis, 0.05)
    )
    parts.append(_capsule("face", "nose", at(0, 0.012, 0.092), 0.01 * h, at(0, -0.018, 0.105), 0.017 * h, 0.03))
    return parts


def _face_half(build: Build, p: Joints, frame: Array, side: str, sign: float) -> list[Part]:
    """Return eye, brow and ear of one side."""
    h = build.head
    eye, ear, out = p[f"{side}_eye"], p[f"{side}_ear"], frame @ (sign, 0.0, 0.0)
    brow = eye + h * (frame @ (0, 0.024, 0.003))
    return [
        Part(
            "face",
            "white",
            ((eye + 0.012 * h * out, 0.0085 * h), (eye - 0.012 * h * out, 0.0085 * h)),
            (eye, eye + out),
            0.03,
        ),
        Part("face", "eye", ((eye, 0.011 * h),), (eye, eye + out), 0.035),
        _capsule("face", "brow", brow + 0.017 * h * out, 0.005 * h, brow - 0.017 * h * out, 0.005 * h, 0.03),
        _capsule(
            "ear", "skin", ear + frame @ (0, 0.018 * h, 0), 0.018 * h, ear - frame @ (0, 0.018 * h, 0), 0.014 * h, 0.045
        ),
    ]
