"""Reading a page as a browser would."""

from html.parser import HTMLParser


class Reader(HTMLParser):
    """What of a page a browser would load, and which ids it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"src", "srcset", "href", "xlink:href", "poster", "action", "data"}:
                self.loads.append(value or "")
