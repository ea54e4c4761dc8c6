"""The forms in which crops, targets, decoding and suppression are known; `released` is Lite-HRNet's own code."""

from __future__ import annotations

from typing import Literal

Crops = Literal["released", "udp"]
Targets = Literal["released", "dark", "udp"]
Decoding = Literal["released", "axes", "dark", "udp"]
Suppression = Literal["hard", "soft"]
