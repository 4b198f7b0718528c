"""Numbers in sentences: one that is not known is said in words, zero has no sign, and hundreds have no exponent.

Titles, legends, cells, notes of claims and pages pass through ``plain`` before they are read. So they write numbers by
Python's own formats, which say "nan", "inf", "-0%" and "1e+02".
"""

import re

NOT_KNOWN = "not known"
_BEFORE = r"(?<![\w.\-−/])"  # no part of a name
_NUMBER = r"[+\-−]?(?:nan|inf)\b%?"
_SPREAD = re.compile(rf"\s*±\s*{_NUMBER}")
_BETWEEN = re.compile(rf"([\[(]){_NUMBER}(?:,| to) {_NUMBER}([\])])")
_UNKNOWN = re.compile(_BEFORE + _NUMBER)
_ZERO = re.compile(rf"{_BEFORE}[\-−](0(?:\.0+)?(?:e[+\-]?\d+)?)(?!\w|\.\d)")
_LONG = re.compile(r"(?<![\w.])\d(?:\.\d+)?e\+0[1-5](?!\d)")


def plain(text):
    """The text with "not known" for numbers that are not finite, without their spreads, 0 for -0, and 100 for 1e+02.

    >>> plain("nan apart, costs -0.0% ± nan [nan, nan], from -0.5 to inf; 1.2e+03, nano, XL-0")
    'not known apart, costs 0.0% [not known], from -0.5 to not known; 1200, nano, XL-0'
    """
    text = _BETWEEN.sub(rf"\1{NOT_KNOWN}\2", _SPREAD.sub("", text))
    text = _ZERO.sub(r"\1", _UNKNOWN.sub(NOT_KNOWN, text))
    return _LONG.sub(lambda found: f"{float(found[0]):.0f}", text)
