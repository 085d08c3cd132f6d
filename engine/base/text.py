"""Text from outside: which files hold it, JSON that cannot overwhelm the reader, and how a terminal is shown it.

Decided here: a file is read only where it has an end and is in UTF-8, with or without a byte order mark; JSON is not
deeper than `DEEPEST` and has no key twice; what a terminal would obey (escapes, line breaks, marks that turn the
direction of writing) is shown escaped.
"""

import codecs
import json
import os
import re
import stat
from itertools import accumulate
from pathlib import Path
from typing import Any

from engine.base.errors import InputError

AS_UTF8 = "Save the file as UTF-8, for example with: iconv -f {} -t utf-8 OLD > NEW"
HALF = re.compile("[\ud800-\udfff]")
"""Half a character: a surrogate that stands alone, which no encoding can write."""
OBEYED = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal obeys, or cannot show; all but the tab."""
MARKS = {b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""How files in other forms of Unicode begin."""
FORMS = {"x0x0": "utf-16le", "0x0x": "utf-16be", "x000": "utf-32le", "000x": "utf-32be"}
"""Which of four bytes are zero in files without a mark."""
PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "a zip archive", b"PAR1\x15": "Parquet", b"ARROW1\0\0": "Arrow"}
"""How files begin that hold no text; `PAR1` alone may be the name of a column."""
DEEPEST = 100
"""Objects and lists of JSON inside each other; far more than these, and parsers overflow the stack."""
STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
"""Bracket of JSON → how it changes the depth."""
OTHERS = bytes(set(range(256)) - STEPS.keys())
BEGINNING = 4096
"""Bytes that tell a form without a mark."""
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def escaped(text: str) -> str:
    r"""A text in one line, in which nothing is left that a terminal obeys.

    Example:
        >>> print(escaped("sœur\x1b[31mb\nc"))
        sœur\x1b[31mb\nc
    """
    return OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def regular_file(path: Path) -> int:
    """The bytes of a file that has an end.

    Raises:
        InputError: It cannot be found, or it is a folder, a pipe, a socket or a device.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise InputError.of(str(path), "a file is needed", KINDS.get(stat.S_IFMT(found.st_mode), "something else"))
    return found.st_size


def expanded(name: str | Path) -> Path:
    """The path of a name; `~` is the home of a user, where there is such a one."""
    return Path(os.path.expanduser(name))


def unreadable(path: Path, error: Exception) -> InputError:
    """The error of a file or folder that the system does not give."""
    reason = getattr(error, "strerror", None) or str(error)
    return InputError.of(escaped_path(path), f"cannot be read: {reason[:1].lower()}{reason[1:]}")


def escaped_path(path: Path) -> str:
    """A path for a message, cut where it is too long to be a file's."""
    text = str(path)
    return text if len(text) <= 300 else f"{text[:100]}…{text[-50:]}"


def check_is_text(path: Path, beginning: bytes) -> None:
    """Raises an `InputError` where a file holds something else than UTF-8, as far as its beginning tells."""
    if packed := next((name for sign, name in PACKED.items() if beginning.startswith(sign)), ""):
        raise InputError.of(f"{path}:1", "not a text file", packed, suggestion="Unpack it, or name it as what it is.")
    if form := unicode_form(beginning):
        raise InputError.of(f"{path}:1", "not UTF-8", form.upper(), suggestion=AS_UTF8.format(form))


def unicode_form(beginning: bytes) -> str:
    """The form of Unicode of a file that is not in UTF-8, by its mark or by where its zeros stand; else empty.

    Example:
        >>> unicode_form("text,label".encode("utf-16-be")), unicode_form("text".encode("utf-32")), unicode_form(b"text")
        ('utf-16be', 'utf-32', '')
    """
    if marked := next((form for mark, form in MARKS.items() if beginning.startswith(mark)), ""):
        return marked
    beginning = beginning[:BEGINNING]
    if is_plain(beginning.split(b"\n", 1)[0]):
        return ""  # zeros stand in the rows alone
    zeros = [beginning[place::4].count(0) for place in range(4)]
    some = max(1, len(beginning) // 64)  # letters of our alphabet have as many; a stray zero does not
    return FORMS.get("".join("0" if count >= some else "x" for count in zeros), "")


def is_plain(line: bytes) -> bool:
    """Whether a line, which may be cut off anywhere, is UTF-8 that a terminal can show; an empty one tells nothing."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(line.rstrip(b"\r"))
    except UnicodeDecodeError:
        return False
    return bool(text) and not OBEYED.search(text)


def decoded(path: Path, data: bytes) -> str:
    """The text of a file in UTF-8.

    Raises:
        InputError: It has another encoding, with the line where that shows.
    """
    check_is_text(path, data[:BEGINNING])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        got = f"byte 0x{data[error.start]:02x}"
        raise InputError.of(f"{path}:{line}", "not UTF-8", got, suggestion=AS_UTF8.format("latin1")) from error


def read_text(path: Path) -> str:
    """The text of a file in UTF-8; an `InputError` where it is none, or cannot be read."""
    regular_file(path)
    try:
        return decoded(path, path.read_bytes())
    except OSError as error:
        raise unreadable(path, error) from error


def read_json(text: str) -> Any:
    """What a text in JSON says.

    Raises:
        json.JSONDecodeError: It is not JSON, names a key twice, or is too deep or too long for Python's numbers.

    Example:
        >>> read_json('{"a": 1, "a": 2}')
        Traceback (most recent call last):
        json.decoder.JSONDecodeError: the key 'a' stands twice: line 1 column 10 (char 9)
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise json.JSONDecodeError(f"the key {key!r} stands twice", text, max(text.rfind(json.dumps(key)), 0))
        return found

    if is_deep(text.encode(errors="surrogatepass")):
        raise json.JSONDecodeError("nested too deeply", text, 0)
    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # more digits than Python turns into a number
        raise json.JSONDecodeError("a number has too many digits", text, 0) from error


def is_deep(data: bytes) -> bool:
    """Whether a text in JSON, or one of its lines, is deeper than `DEEPEST`; with few brackets it cannot be."""
    return data.count(b"[") + data.count(b"{") > DEEPEST and depth_of(data) > DEEPEST


def depth_of(data: bytes) -> int:
    """How many objects and lists of JSON stand inside each other at most.

    Example:
        >>> depth_of(b'{"a": [1, "]]["]}'), depth_of(b"[[[")
        (2, 3)
    """
    unescaped = data.replace(rb"\\", b"").replace(rb"\"", b"")
    outside = b"".join(unescaped.split(b'"')[::2])  # of strings
    return max(accumulate(map(STEPS.__getitem__, outside.translate(None, OTHERS))), default=0)
