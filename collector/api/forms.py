"""What a page's form sends: read within the bounds of bodies, once."""

from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiDict, MultiDictProxy

from collector.api.bodies import read_body
from weighbridge.wire.problems import Problem

FORM = "application/x-www-form-urlencoded"
MOST_FORM_BYTES = 256 * 1024
MOST_FIELDS = 200
READ = web.RequestKey("form", MultiDictProxy)


async def form(request: web.Request) -> MultiDictProxy[str]:
    """The fields of a request's form; none where it carries no form. Raises Problem: malformed, and as `read_body`."""
    if READ not in request:
        request[READ] = MultiDictProxy(MultiDict(await _fields(request)))
    return request[READ]


async def _fields(request: web.Request) -> list[tuple[str, str]]:
    if request.content_type != FORM:
        return []
    try:
        text = (await read_body(request, MOST_FORM_BYTES)).decode()
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise Problem("malformed", "this is no form") from error
