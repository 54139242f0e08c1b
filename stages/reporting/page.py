"""Write the report's blocks as Markdown and as one self-contained HTML page."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from stages.reporting.markdown import table as markdown_table
from stages.reporting.tables import Cell, Table

TEMPLATE = Path(__file__).with_name("page.html")
MEDIA = {".png": "image/png", ".jpg": "image/jpeg"}
HINT = "scrolls sideways →"


@dataclass(frozen=True)
class Heading:
    """A section's title."""

    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph; with `key` it is the sentence that nobody must miss."""

    text: str
    key: bool = False


@dataclass(frozen=True)
class Facts:
    """The numbers that a reader sees first, (label, cell), under a title."""

    title: str
    items: list[tuple[str, Cell]]


@dataclass(frozen=True)
class Figures:
    """Pictures side by side where there is room: (file, caption). `photos` keep their colours on a dark page."""

    items: list[tuple[Path, str]]
    photos: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Folded:
    """Blocks that open when their summary is clicked."""

    summary: str
    blocks: "list[Block]"


@dataclass(frozen=True)
class Verbatim:
    """Text as it stands."""

    text: str


Block = Heading | Text | Facts | Table | Figures | Folded | Verbatim


def markdown(blocks: Sequence[Block], title: str) -> str:
    """Return the report as Markdown; pictures are links into the folder `figures` beside it."""
    return f"# {title}\n\n" + "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {text}"
        case Text(text, key):
            return f"**{text}**" if key else text
        case Facts(title, items):
            rows = [[Cell(label), cell] for label, cell in items]
            return _markdown(Table([title, ""], rows))
        case Table(header, rows, labels):
            return markdown_table(header, [[_plain(cell) for cell in row] for row in rows], labels)
        case Figures(items):
            return "\n\n".join(f"![{file.stem}](figures/{file.name})\n\n{caption}".strip() for file, caption in items)
        case Folded(summary, inner):
            body = "\n\n".join(_markdown(part) for part in inner)
            return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"
        case Verbatim(text):
            return f"```yaml\n{text.rstrip()}\n```"


def _plain(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.strong else cell.text
    return f"{text} [{cell.interval}]" if cell.interval else text


def html(blocks: Sequence[Block], title: str) -> str:
    """Return the report as one page in one file: pictures are data URIs, and there is no script."""
    headings = [block.text for block in blocks if isinstance(block, Heading)]
    contents = "".join(f'<a href="#{anchor(text)}">{escape(text)}</a>' for text in headings)
    body = "\n".join(_html(block) for block in blocks)
    page = TEMPLATE.read_text()
    for key, value in {"title": escape(title), "contents": contents, "body": body}.items():
        page = page.replace(f"{{{{{key}}}}}", value)
    return page


def anchor(text: str) -> str:
    """Return a heading's name in links and files."""
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def _html(block: Block) -> str:
    match block:
        case Heading(text):
            return f'<h2 id="{anchor(text)}">{escape(text)}</h2>'
        case Text(text, key):
            return f'<p class="key">{escape(text)}</p>' if key else f"<p>{escape(text)}</p>"
        case Facts(title, items):
            cards = "".join(f"<div>{_number(cell)}<span>{escape(label)}</span></div>" for label, cell in items)
            return f'<p class="about">{escape(title)}</p>\n<div class="facts">{cards}</div>'
        case Table():
            return _table(block)
        case Figures(items, photos, wide):
            kind = "figures" + " photos" * photos + " wide" * wide
            return f'<div class="{kind}">' + "".join(_figure(*item, wide) for item in items) + "</div>"
        case Folded(summary, inner):
            body = "\n".join(_html(part) for part in inner)
            return f"<details><summary>{escape(summary)}</summary>\n{body}\n</details>"
        case Verbatim(text):
            return f"<pre>{escape(text)}</pre>"


def _figure(file: Path, caption: str, wide: bool) -> str:
    data = base64.b64encode(file.read_bytes()).decode()
    image = f'<img src="data:{MEDIA[file.suffix]};base64,{data}" alt="{escape(file.stem)}">'
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{_scrolling(image) if wide else image}{below}</figure>"


def _scrolling(content: str) -> str:
    """Let content that is wider than the page scroll sideways; `HINT` shows only then."""
    return f'<div class="scroll"><div><p class="hint">{HINT}</p>{content}</div></div>'


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col"{_side(i, table)}>{escape(text)}</th>' for i, text in enumerate(table.header))
    rows = "\n".join(
        "<tr>" + "".join(f"<td{_side(i, table)}>{_number(cell)}</td>" for i, cell in enumerate(row)) + "</tr>"
        for row in table.rows
    )
    return _scrolling(f"<table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table>")


def _side(column: int, table: Table) -> str:
    return ' class="label"' if column < table.labels else ""


def _number(cell: Cell) -> str:
    swatch = f'<i style="background:{cell.colour}"></i>' if cell.colour else ""
    text = f"<b>{escape(cell.text)}</b>" if cell.strong else escape(cell.text)
    interval = f"<small>{escape(cell.interval)}</small>" if cell.interval else ""
    return f"{swatch}<span>{text}</span>{interval}"
