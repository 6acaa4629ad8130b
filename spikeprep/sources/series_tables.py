"""Many labelled series in one text file: a row per step (the long form), or a row per series (the wide form).

Long tables are those of tsfresh and sktime: a column of the series, one of the time, and a column per channel, or one
of the channel's name (``kind``) and one of its ``value``. Wide ones are UCR's ``PROBLEM_TRAIN.tsv``, whose first column
is the class, and Kaggle's ``mitbih_train.csv``, whose last one is.
Sources: https://tsfresh.readthedocs.io/en/latest/text/data_formats.html;
https://www.sktime.net/en/stable/api_reference/data_format.html (``from_long_to_nested``);
Dau et al. 2018, The UCR time series archive, arXiv:1810.07758.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .series_data import SeriesFile
from .series_long_tables import read_long
from .series_table_columns import Form, TableSettings, check_columns, is_numbered, meaning_of, unclear
from .series_text import TextColumns
from .series_wide_tables import read_wide
from .table_columns import role_of


def form_of(table: TextColumns, settings: TableSettings) -> Form:
    """Return what a text file is; empty where it is neither a table of files nor clearly one of series."""
    if settings.form:
        return settings.form
    roles = [meaning_of(name, settings) for name in table.header]
    if any(settings.columns.get(name) == "path" or role_of(name) == "path" for name in table.header):
        return "files"
    if "series" in roles and {"time", "step", "kind"} & {*roles}:
        return "long"
    if "series" in roles and "label" in roles:
        _, (ids,) = table.read((), [roles.index("series")])
        return "wide" if is_numbered(table.header, roles) and len(np.unique(ids)) == len(ids) else "long"
    if table.header and (is_numbered(table.header, roles) or table.header[0].isdecimal()):
        return "wide"
    # a label that is a text is no number in every line
    return "wide" if not table.header and table.width > 2 else ""


def read_series_table(
    path: Path, content: bytes, settings: TableSettings, labels: tuple[Path, bytes] | None = None
) -> SeriesFile:
    """Read the bytes of a long or a wide table.

    Parameters
    ----------
    path
        The file, for messages.
    content
        Its bytes.
    settings
        What the user says of it.
    labels
        A further table, of the series and their labels, and its bytes; None: they are in this one.

    Raises
    ------
    DataError
        It is not clear which columns mean what, or they do not fit each other.
    """
    table = TextColumns.of(path, content)
    form = form_of(table, settings)
    check_columns(table, settings)
    if form == "long":
        return read_long(table, settings, labels)
    if form == "wide" and labels is None:
        return read_wide(table, settings)
    raise unclear(table)
