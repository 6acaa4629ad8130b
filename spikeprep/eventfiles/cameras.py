"""iniVation's cameras, by the names that jAER and cAER write: family of the address layout, sensor (width, height)."""

from __future__ import annotations

from collections.abc import Mapping

CAMERAS: Mapping[str, tuple[str, tuple[int, int]]] = {
    "DVS128": ("DVS", (128, 128)),
    "DAVIS128": ("DAVIS", (128, 128)),
    "DAVIS208": ("DAVIS", (208, 192)),
    "DAVIS240": ("DAVIS", (240, 180)),
    "DAVIS346": ("DAVIS", (346, 260)),
    "DAVIS640": ("DAVIS", (640, 480)),
    "DVS640": ("DVS640", (640, 480)),
}
_ALIASES = {"TMPDIFF128": "DVS128", "SBRET10": "DAVIS240", "SBRET20": "DAVIS240", "SBRET21": "DAVIS240"}


def camera_in(text: str) -> str:
    """Return the camera that a header names (``eu.seebetter.ini.chips.davis.DAVIS240C``), empty where it is unknown."""
    name = text.rpartition(".")[2].upper()
    for start, camera in {**{c: c for c in CAMERAS}, **_ALIASES}.items():
        if name.startswith(start):
            return camera
    return ""
