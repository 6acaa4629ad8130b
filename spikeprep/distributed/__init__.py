"""Ranks: processes that train one network together, how they exchange sums, and how they are launched."""
