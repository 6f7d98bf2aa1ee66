"""Text in CSV files that people open in a spreadsheet, which would calculate what begins like a formula."""

import polars as pl

_FORMULA = r"^[=+\-@\t\r']"
"""How text begins that a spreadsheet would calculate (OWASP, CSV injection), or that looks guarded."""
_NUMBER = r"^[+-]?\d+(\.\d+)?$"


def guarded(text: pl.Expr) -> pl.Expr:
    """Text with an apostrophe in front where it would be calculated; plain numbers stay as they are."""
    calculated = text.str.contains(_FORMULA) & ~text.str.contains(_NUMBER)
    # In this order, because the result has the name of its first branch.
    return pl.when(~calculated).then(text).otherwise("'" + text)


def unguarded(text: pl.Expr) -> pl.Expr:
    """The text that was guarded."""
    return text.str.strip_prefix("'")
