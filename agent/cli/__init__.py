"""Loa agent: cli."""
