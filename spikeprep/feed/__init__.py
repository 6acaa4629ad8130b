"""Batches from a store to a device: their order and state, host prefetch, device copies."""
