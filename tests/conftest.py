from __future__ import annotations

import os

from hypothesis import settings

# what a change must pass does not depend on luck; at home every run looks elsewhere
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")
