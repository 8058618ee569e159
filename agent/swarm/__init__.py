"""Loa agent: swarm."""
