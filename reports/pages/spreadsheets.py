"""Tables for spreadsheets, which take some texts for formulas."""

import pandas as pd

from reports.read.plain_text import CONTROL


def harmless(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame for a CSV file: no text in it is a formula to a spreadsheet, or moves a cursor.

    Words of a shard may begin as a formula does; such a cell gets an apostrophe in front (OWASP,
    CSV injection).
    """
    frame = frame.copy()
    for name in map(str, frame.select_dtypes("str").columns):
        shown = frame[name].str.replace(CONTROL, "?", regex=True)
        frame[name] = shown.str.replace(r"^(?=[=+\-@])", "'", regex=True)
    return frame
