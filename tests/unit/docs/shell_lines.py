"""The commands of a block of shell, each as its words."""

import re
import shlex
from collections.abc import Iterator

_HERE_DOCUMENT = re.compile(r"<<-?\s*(['\"]?)(\w+)\1([^\n]*)\n.*?^\s*\2$", re.MULTILINE | re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_OPERATOR = re.compile(r"[();<>|&]+")
_KEYWORDS = frozenset({"for", "in", "do", "done", "if", "then", "else", "fi", "while", "until", "!", "time"})


def commands(text: str) -> Iterator[list[str]]:
    """Every simple command, without assignments before it, redirections, keywords and comments."""
    for line in _logical_lines(_HERE_DOCUMENT.sub(r"\3", text)):
        words: list[str] = []
        redirected = False
        for token in [*_tokens(line), ";"]:
            if redirected:
                redirected = False
            elif not _OPERATOR.fullmatch(token):
                words.append(token)
            elif set(token) & set("<>"):
                redirected = True
                if words and words[-1] in ("1", "2"):
                    words.pop()
            else:
                if command := _without_prefix(words):
                    yield command
                words = []


def _logical_lines(text: str) -> Iterator[str]:
    """Lines, with what a backslash or an open quote continues."""
    pending = ""
    for line in text.replace("\\\n", "  ").splitlines():
        pending += line
        try:
            _tokens(pending)
        except ValueError:
            pending += "\n"
            continue
        yield pending
        pending = ""
    if pending:
        raise ValueError(f"a quotation is not closed: {pending}")


def _tokens(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return list(lexer)


def _without_prefix(words: list[str]) -> list[str]:
    for number, word in enumerate(words):
        if not _ASSIGNMENT.match(word) and word not in _KEYWORDS:
            return words[number:]
    return []
