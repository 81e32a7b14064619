"""Can I trust it? All checks of a fitted posterior in one call, and export to ArviZ."""

from sksbi.diagnostics.diagnosis import Diagnosis, diagnose
from sksbi.diagnostics.export import to_inference_data
from sksbi.diagnostics.models import diagnose_models

__all__ = ["Diagnosis", "diagnose", "diagnose_models", "to_inference_data"]
