"""What a command says on the terminal."""

from rich.console import Console


def say(console: Console, text: str, style: str = "") -> None:
    """Print a text as it is: nothing of it is markup, and no path in it is broken at the terminal's edge."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
