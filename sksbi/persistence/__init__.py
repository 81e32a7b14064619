"""Fitted estimators in files: safe ones of sksbi, and what skops has to be told."""

from sksbi.persistence._load import load
from sksbi.persistence._save import save
from sksbi.persistence._skops import trusted_types

__all__ = ["load", "save", "trusted_types"]
