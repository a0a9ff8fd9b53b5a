"""What a command says on the terminal, and how it writes numbers."""

from rich.console import Console


def say(console: Console, text: str, style: str = "") -> None:
    """Print a text as it is: nothing of it is markup, and no path in it is broken at the terminal's edge."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def round_number(text: str, digits: int = 3) -> str:
    """A number in text to so many digits, and any other text as it is.

    >>> round_number("0.12345"), round_number("None")
    ('0.123', 'None')
    """
    try:
        return f"{float(text):.{digits}g}"
    except ValueError:
        return text
