"""Links of pages as they stand on GitHub, made to work on the site.

On GitHub a link from `docs/` may lead to any file of the repository. The site has pages for some of them;
a link to anything else becomes its text with the path.
"""

import posixpath
import re
from collections.abc import Callable, Mapping

_FENCED = re.compile(r"^(?P<fence>```+|~~~+).*?^(?P=fence)\s*?$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!\!)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_IMAGE_OR_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:|#")


def site_links(text: str, source: str, page: str, pages: Mapping[str, str]) -> str:
    """Point every link of a page to the site.

    Args:
        text: The page's Markdown; fenced blocks are left as they are.
        source: The page's file in the repository, such as `docs/data.md`.
        page: The page's file on the site, such as `data.md`.
        pages: The site's file for each file of the repository that has one.
    """

    def point(match: re.Match[str]) -> str:
        if _IMAGE_OR_ADDRESS.match(match["target"]):
            return match[0]
        path, hash_sign, anchor = match["target"].partition("#")
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if wanted not in pages:
            return _without_page(match["text"], wanted, path.endswith("/"))
        relative = posixpath.relpath(pages[wanted], posixpath.dirname(page) or ".")
        return f"[{match['text']}]({relative}{hash_sign}{anchor})"

    return _outside_fences(text, lambda part: _LINK.sub(point, part))


def _outside_fences(text: str, change: Callable[[str], str]) -> str:
    parts: list[str] = []
    end = 0
    for block in _FENCED.finditer(text):
        parts += [change(text[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*parts, change(text[end:])])


def _without_page(text: str, path: str, folder: bool) -> str:
    shown = f"`{path}/`" if folder else f"`{path}`"
    name = text.strip("`").rstrip("/")
    return shown if name == posixpath.basename(path) else f"{text} ({shown})"
