"""The one version of the software, and the version of the wire it speaks."""

__version__ = "0.1.0"

#: Version in every hello and bundle; another number is refused (PROTOCOL.md, section 2).
WIRE_VERSION = 1
