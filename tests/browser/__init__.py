"""Journeys in a real Chromium against a real controller with a swarm of real agents."""
