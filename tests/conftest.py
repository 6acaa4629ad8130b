from __future__ import annotations

import os

from hypothesis import settings

# what a change must pass does not depend on luck; at home every run looks elsewhere
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("home", deadline=None)  # a kernel's first call compiles it
settings.load_profile("ci" if os.environ.get("CI") else "home")
