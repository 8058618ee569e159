"""The console in the browser: its built bundle, served to staff. The sources are in ``ui/``, see the README there."""

from controller.web.bundle import Bundle, BundleFile
from controller.web.routes import ConsolePages

__all__ = ["Bundle", "BundleFile", "ConsolePages"]
