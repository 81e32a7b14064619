"""Fitted posteriors: lazy distributions on arrays, in theta's own units."""
