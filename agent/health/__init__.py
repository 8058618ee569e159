"""Loa agent: health."""
