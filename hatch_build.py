"""The package's build hook: the console is built before it is packed. See ``controller/web/build.py``."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConsoleBuildHook(BuildHookInterface[Any]):
    """Builds the console into ``controller/web/static``, unless it is there already."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Build. An editable installation is left alone: ``scripts/setup`` builds there when sources change."""
        if self.target_name != "wheel" or version == "editable":
            return
        path = Path(self.root) / "controller/web/build.py"
        spec = importlib.util.spec_from_file_location("loa_console_build", path)
        if spec is None or spec.loader is None:
            raise FileNotFoundError(path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.build()
