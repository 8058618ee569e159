"""The command line: the same services as the console, over the API, plus what runs on the controller itself."""

from controller.cli.tree import main

__all__ = ["main"]
