"""Networks and stores for other programs: NIR, named arrays, SHD's HDF5, .npz per sample, Croissant.

`export_run` and `export_store` choose by the name of a format. docs/export.md describes what they write.
"""

from .comparison import Agreement, Comparison, FrameworkCheck
from .formats import RUN_FORMATS, STORE_FORMATS, ExportResult, export_run, export_store
from .nir_graph import DT, Omission, nir_graph

__all__ = [
    "DT",
    "RUN_FORMATS",
    "STORE_FORMATS",
    "Agreement",
    "Comparison",
    "ExportResult",
    "FrameworkCheck",
    "Omission",
    "export_run",
    "export_store",
    "nir_graph",
]
