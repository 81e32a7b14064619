"""Helpers that know nothing of inference: validation, random state, tables, tensors."""
