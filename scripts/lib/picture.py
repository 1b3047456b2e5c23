"""Draws printed text as a terminal: picture.py PROMPT TEXT SVG"""

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

# Light letters on a dark ground of its own: readable on a light page and on a dark one.
THEME = TerminalTheme(
    (22, 27, 34),
    (230, 237, 243),
    [(72, 79, 88), (255, 123, 114), (86, 211, 100), (227, 179, 65),
     (121, 192, 255), (210, 168, 255), (86, 212, 221), (230, 237, 243)],
)
# As rich's own, without the buttons of a window and without fonts from the web.
FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="What the demo prints">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
  font-size: {char_height}px;
}}
{styles}
</style>
<defs>{lines}</defs>
<rect fill="#161b22" width="100%" height="100%" rx="8"/>
<g transform="translate(9, 24)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


def main() -> None:
    prompt, source, target = sys.argv[1:]
    printed = Path(source).read_text(encoding="utf-8").rstrip("\n")
    width = max(map(len, printed.splitlines()))
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    console.print(Text(prompt, style="bold cyan"))
    text = Text(printed)
    text.highlight_regex(re.compile(r"^  ok ", re.MULTILINE), "bold green")
    text.highlight_regex(re.compile(r'^Search "[^"]*"', re.MULTILINE), "bold")
    console.print(text)
    console.save_svg(target, title="", theme=THEME, code_format=FORMAT, unique_id="demo")


main()
