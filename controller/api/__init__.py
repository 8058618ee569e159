"""The staff API: typed routes over the use-cases, problem+json errors, an OpenAPI 3.1 document made from the routes."""

from controller.api.problems import RequestError
from controller.api.routing import Access, Call, Route, route
from controller.api.schema import Empty, Page, PageQuery, Patch, Schema, paginate

__all__ = [
    "Access",
    "Call",
    "Empty",
    "Page",
    "PageQuery",
    "Patch",
    "RequestError",
    "Route",
    "Schema",
    "paginate",
    "route",
]
