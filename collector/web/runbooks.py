"""What to do about each alert, for whoever was woken and is not logged in: it holds nothing of any contract."""

from aiohttp import web

from collector.api.routes import Access, Route
from dashboards.runbooks import pages


class Runbooks:
    """One page of text for each alert."""

    def __init__(self) -> None:
        self._pages = pages()

    def routes(self) -> tuple[Route, ...]:
        told = "What to do about an alert."
        return (Route("GET", "/runbooks/{alert}", self.page, Access.OPEN, told, (), "text/plain"),)

    async def page(self, request: web.Request) -> web.Response:
        text = self._pages.get(request.match_info["alert"])
        if text is None:
            raise web.HTTPNotFound
        return web.Response(text=text, content_type="text/plain", charset="utf-8")
