"""When to stop before the last epoch, from the accuracies of the validation samples alone."""

from __future__ import annotations

from collections.abc import Sequence


def stops_early(accuracies: Sequence[float | None], patience: int | None) -> bool:
    """Return whether the last `patience` epochs have brought no higher validation accuracy than those before.

    It depends on the finished epochs alone, so a resumed run stops where an uninterrupted one does.

    Parameters
    ----------
    accuracies
        Validation accuracy of each finished epoch, in order.
    patience
        Epochs; None: never stop early.
    """
    known = [accuracy for accuracy in accuracies if accuracy is not None]
    if patience is None or not known:
        return False
    return len(known) - known.index(max(known)) > patience
