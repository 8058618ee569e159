"""Loa agent: cache."""
