"""Can I trust it? All checks of a fitted posterior in one call, and export to ArviZ."""

from sksbi.diagnostics.diagnose import Diagnosis
from sksbi.diagnostics.export import to_inference_data

__all__ = ["Diagnosis", "to_inference_data"]
