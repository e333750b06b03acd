"""Text that tries to break the output in which it appears."""

# Escapes for a terminal, and characters that reverse the direction of text.
ODD = "\x1b]0;x\x07\u202e\x9b"

HOSTILE = [
    "$x^2$ and $\\frac{",
    "$",
    "a_b^c",
    "_hidden",
    "<b>bold</b>&amp;",
    "%s {0} {days} %d",
    "#%&~\\{}",
    "\\alpha",
    "line\nbreak\r\n",
    "\x00\x07\x1b[31m\x7f",
    "\t",
    " ",
    "",
    "\u2028\u2029",
    "\u202eevil\u202c",
    "\ufeff",
    "long " * 60,
    "W" * 100_000,
    "العربية אבגד",
    "日本語カテゴリ",
    "😀🎉👨\u200d👩",
    "Z" + "\u0301" * 80,
    "\ufdfd" * 40,
    "\ud800",
    "\ue000\ufffe\U0010ffff",
    "हिन्दी",
    None,
    "(no category)",
]
