"""A report's table on a terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from mllm_protector.cli.render import plain
from mllm_protector.evaluation.rendering.tables import Table

__all__ = ["show"]

_WIDTH_IN_FILES = 140


def show(table: Table, console: Console | None = None) -> None:
    """Print a table; names come from files, so nothing in them is taken as markup."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH_IN_FILES)
    grid = Grid(box=SIMPLE_HEAD, pad_edge=False, title=Text(table.title), title_justify="left")
    for place, name in enumerate(table.head):
        grid.add_column(name, overflow="fold", no_wrap=place == 0)
    for row in table.rows:
        grid.add_row(*(Text(plain(cell)) for cell in row))
    console.print(grid)
    if table.note:
        console.print(Text(table.note, style="dim"))
