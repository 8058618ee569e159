"""What changed, told to whoever looks at the console: topics and ids, hardly ever contents.

``model`` (topics, who may know), ``hub`` (gathering, memory, readers), ``sight`` (rights at the moment of telling),
``press`` (the words of an event), ``wires`` (where the changes come from). None of it knows HTTP.
"""

from __future__ import annotations

from controller.services.news.hub import Batch, NewsHub, Reader
from controller.services.news.model import EVERYONE, Audience, Topic
from controller.services.news.press import Press
from controller.services.news.sight import Sight
from controller.services.news.wires import Wires

__all__ = ["EVERYONE", "Audience", "Batch", "NewsHub", "Press", "Reader", "Sight", "Topic", "Wires"]
