"""English prose out of PostgreSQL's documentation (PostgreSQL licence), as
Debian's package postgresql-doc-15 installs it."""
import glob
import html
import os
import re

DIRS = ["/usr/share/doc/postgresql-doc-15/html", "/usr/share/doc/postgresql-doc-*/html"]
ASCII = {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": " - ",
         "\u00a0": " ", "\u2026": "...", "\u200b": "", "\u2192": "->", "\u2260": "<>"}


def clean(fragment):
    text = html.unescape(re.sub(r"<[^>]+>", "", fragment))
    for a, b in ASCII.items():
        text = text.replace(a, b)
    text = re.sub(r"\s+", " ", text).strip()
    return text


def paragraphs():
    """Paragraphs of 60 to 900 characters, each once, in a fixed order."""
    dirs = [d for pattern in DIRS for d in sorted(glob.glob(pattern))]
    if not dirs:
        raise SystemExit("the PostgreSQL documentation is missing: apt-get install postgresql-doc-15")
    seen = {}
    for path in sorted(glob.glob(os.path.join(dirs[0], "*.html"))):
        if os.path.basename(path).startswith(("release-", "bookindex", "biblio", "contrib-spi")):
            continue
        page = open(path, encoding="utf-8", errors="replace").read()
        for fragment in re.findall(r"<p>(.*?)</p>", page, re.S):
            text = clean(fragment)
            if not 60 <= len(text) <= 900 or not all(ord(c) < 128 for c in text):
                continue
            letters = sum(c.isalpha() or c == " " for c in text)
            if letters >= 0.85 * len(text):
                seen[text] = None
    return list(seen)
