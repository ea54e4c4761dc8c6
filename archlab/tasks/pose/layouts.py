"""The keypoints of a network by the names of its outputs, or by their number."""

from __future__ import annotations

from collections.abc import Sequence

from archlab.tasks.pose.data import lsp
from archlab.tasks.pose.data.mpii import MPII
from archlab.tasks.pose.keypoints import COCO, KeypointLayout, layout_from_names

LSP = layout_from_names(lsp.JOINTS, [(lsp.JOINTS.index(a), lsp.JOINTS.index(b)) for a, b in lsp.SKELETON])
KNOWN = (COCO, MPII, LSP)


def layout_of(names: Sequence[str] | None, outputs: int) -> KeypointLayout:
    """Return the layout with these names, or with this number of keypoints: COCO's, MPII's, LSP's.

    Keypoints of no known data set have no bones; without names they are `keypoint_0`, `keypoint_1`, ...
    """
    if names is None:
        numbered = layout_from_names([f"keypoint_{k}" for k in range(outputs)], ())
        return next((layout for layout in KNOWN if layout.count == outputs), numbered)
    found = (layout for layout in KNOWN if layout.names == tuple(names))
    return next(found, layout_from_names(names, ()))
