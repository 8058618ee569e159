"""Loa agent: conductor."""
