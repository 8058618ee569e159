"""The figures README quotes. ``python -m benchmarks.NAME [--json]``; each names its peer, measured in the same run."""
