"""Write blocks as Markdown and as one self-contained HTML page."""

import base64
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from stages.reporting import latex
from stages.reporting.blocks import Block, Claim, Figures, Folded, Heading, Picture, Text, Verbatim
from stages.reporting.markdown import table as markdown_table
from stages.reporting.tables import Cell, Table, anchor

TEMPLATE = Path(__file__).with_name("page.html")
MEDIA = {".png": "image/png", ".jpg": "image/jpeg"}
DOT = re.compile(r"(?<=\w)\.(?=[a-z])")  # of a parameter's name, which breaks there
HINT = "scrolls sideways →"
AGAIN = "parameters and command"


def markdown(blocks: Sequence[Block], title: str) -> str:
    """Return the report as Markdown; it links to pictures in `figures` and, for LaTeX, to `tables` beside it."""
    return f"# {title}\n\n" + "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {text}"
        case Text(text, key):
            return f"**{text}**" if key else text
        case Claim():
            return _markdown_claim(block)
        case Table(header, rows, labels, name):
            text = markdown_table(header, [_markdown_row(row) for row in rows], labels)
            return f"{text}\n\n[LaTeX](tables/{name}.tex)" if name else text
        case Figures():
            shown = ((f"![{p.alt or p.file.stem}](figures/{p.file.name})", p.caption) for p in block.pictures)
            return "\n\n".join("\n\n".join(parts).strip() for parts in shown)
        case Folded(summary, inner):
            body = "\n\n".join(_markdown(part) for part in inner)
            return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"
        case Verbatim(text):
            return f"```\n{text.rstrip()}\n```"


def _markdown_claim(claim: Claim) -> str:
    number = Cell(f"{claim.number.text} {claim.unit}".strip(), claim.number.interval, strong=True)
    links = " · ".join(f"[{label}]({_beside(target)})" for label, target in claim.evidence)
    said = f"{_plain(number)}: {claim.verdict}.\n\n{claim.sentence} {links}".strip()
    return "\n\n".join([said, *([_markdown(Folded(AGAIN, claim.again))] if claim.again else [])])


def _beside(target: str | Path) -> str:
    return f"figures/{target.name}" if isinstance(target, Path) else f"#{target}"


def _markdown_row(row: Sequence[Cell]) -> list[str]:
    """Return the cells of a row; a name for links stands in the first."""
    name = f'<a id="{row[0].anchor}"></a>' if row and row[0].anchor else ""
    return [name * (not i) + _plain(cell) for i, cell in enumerate(row)]


def _plain(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.strong else cell.text
    return f"{text} [{cell.interval}]" if cell.interval else text


def html(blocks: Sequence[Block], title: str) -> str:
    """Return the report as one page in one file: pictures are data URIs, and it reads without its script."""
    headings = [block.text for block in blocks if isinstance(block, Heading)]
    contents = "".join(f'<a href="#{anchor(text)}">{escape(text)}</a>' for text in headings)
    body = "\n".join(_html(block) for block in blocks)
    page = TEMPLATE.read_text()
    for key, value in {"title": escape(title), "contents": contents, "body": body}.items():
        page = page.replace(f"{{{{{key}}}}}", value)
    return page


def _html(block: Block) -> str:
    match block:
        case Heading(text):
            return f'<h2 id="{anchor(text)}">{escape(text)}</h2>'
        case Text(text, key):
            return f'<p class="key">{escape(text)}</p>' if key else f"<p>{escape(text)}</p>"
        case Claim():
            return _claim(block)
        case Table():
            return _table(block)
        case Figures(_, photos, wide):
            kind = "figures" + " photos" * photos + " wide" * wide
            return f'<div class="{kind}">' + "".join(_figure(picture, wide) for picture in block.pictures) + "</div>"
        case Folded(summary, inner):
            body = "\n".join(_html(part) for part in inner)
            return f"<details><summary>{escape(summary)}</summary>\n{body}\n</details>"
        case Verbatim(text):
            return f"<pre>{escape(text)}</pre>"


def _claim(claim: Claim) -> str:
    links = "".join(f'<a href="#{_place(target)}">{escape(label)}</a>' for label, target in claim.evidence)
    again = _html(Folded(AGAIN, claim.again)) if claim.again else ""
    interval = f"<small>{escape(claim.number.interval)}</small>" if claim.number.interval else ""
    number = f"<p><b>{escape(claim.number.text)}</b> {escape(claim.unit)}{interval}</p>"
    said = f"<p>{escape(claim.sentence)}</p>"
    verdict = f'<p class="{"clear" if claim.clear else "unclear"}">{escape(claim.verdict)}</p>'
    return f'<div class="claim">{number}<div>{said}{verdict}<p class="evidence">{links}</p>{again}</div></div>'


def _place(target: str | Path) -> str:
    """Return the anchor of a row or of a figure."""
    return f"figure-{anchor(target.stem)}" if isinstance(target, Path) else target


def _figure(picture: Picture, wide: bool) -> str:
    file, caption, alt = picture
    data = base64.b64encode(file.read_bytes()).decode()
    image = f'<img src="data:{MEDIA[file.suffix]};base64,{data}" alt="{escape(alt or file.stem)}">'
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure id="{_place(file)}">{_scrolling(image) if wide else image}{below}</figure>'


def _scrolling(content: str) -> str:
    """Let content that is wider than the page scroll sideways; `HINT` shows only then."""
    return f'<div class="scroll"><div><p class="hint">{HINT}</p>{content}</div></div>'


def _table(table: Table) -> str:
    """Return a table, and below it the same for LaTeX, folded."""
    head = "".join(f'<th scope="col"{_side(i, table)}>{escape(text)}</th>' for i, text in enumerate(table.header))
    rows = "\n".join(_row(row, table) for row in table.rows)
    shown = _scrolling(f"<table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table>")
    file = f" (tables/{table.name}.tex)" if table.name else ""
    text = escape(latex.tabular(table))
    return f'{shown}\n<details class="tex"><summary>LaTeX{file}</summary><pre>{text}</pre></details>'


def _row(row: Sequence[Cell], table: Table) -> str:
    name = f' id="{row[0].anchor}"' if row and row[0].anchor else ""
    cells = "".join(f"<td{_side(i, table)}>{_number(cell)}</td>" for i, cell in enumerate(row))
    return f"<tr{name}>{cells}</tr>"


def _side(column: int, table: Table) -> str:
    return ' class="label"' if column < table.labels else ""


def _number(cell: Cell) -> str:
    swatch = f'<i style="background:{cell.colour}"></i>' if cell.colour else ""
    text = DOT.sub(".<wbr>", escape(cell.text))
    text = f"<b>{text}</b>" if cell.strong else text
    interval = f"<small>{escape(cell.interval)}</small>" if cell.interval else ""
    return f"{swatch}<span>{text}</span>{interval}"
