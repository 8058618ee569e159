"""Loa: audio."""
