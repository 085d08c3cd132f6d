"""Text from outside: what is read, in which form, and how a terminal is shown it."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest

from engine.base.errors import InputError
from engine.base.text import DEEPEST, depth_of, escaped, read_json, read_text, regular_file, unicode_form

SENTENCE = "text,label\nthe soup was wärm, 汤是热的,good\n"


@pytest.mark.parametrize("form", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", [SENTENCE, '{"text": "a"}', "[]"])
def test_forms_of_unicode_without_a_mark(form: str, text: str) -> None:
    assert unicode_form(text.encode(form)).replace("-", "") == form.replace("-", "")


@pytest.mark.parametrize("text", ["汤是热的\n面很好\n" * 40, "Суп горячий\nДа\n", "汤是热的,面\n" * 400])
@pytest.mark.parametrize("form", ["utf-16-le", "utf-16-be"])
def test_forms_of_unicode_in_which_few_letters_are_latin(form: str, text: str) -> None:
    assert unicode_form(text.encode(form)) == form.replace("16-", "16")


STRAY = (
    b"text,label\r\n\0,a\r\n00,a\r\n0000,a\r\n0000\0,a\r\n",
    "wärm\n".encode() + b"\0a" * 5000,
    b"text,label\n" + b"a\0" * 9,
)


@pytest.mark.parametrize("data", [b"", b"a", b"\0", b"so\0up", SENTENCE.encode(), bytes(100), *STRAY])
def test_other_bytes_are_not_taken_for_one(data: bytes) -> None:
    assert unicode_form(data) == ""


@pytest.mark.parametrize(
    ("character", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("\r", "\\r"),
        ("\n", "\\n"),
        ("\x9b31m", "\\x9b31m"),
        ("\x7f", "\\x7f"),
        ("\u2028", "\\u2028"),
        ("\u202e", "\\u202e"),
        ("\ud800", "\\ud800"),
        ("\t", "\t"),
        ("é好👩\u200d🚀\u00a0", "é好👩\u200d🚀\u00a0"),
    ],
)
def test_what_a_terminal_would_obey(character: str, shown: str) -> None:
    assert escaped(f"a{character}b") == f"a{shown}b"


def test_depth_counts_no_brackets_in_texts() -> None:
    assert depth_of(rb'{"a": "[[[[", "b": ["\"[[", [1]]}') == 3
    assert depth_of(rb'[{"a": "\\", "b[": "\\\"]]"}, "[[') == 2  # backslashes that stand for themselves; no end
    deep = "[" * DEEPEST + "]" * DEEPEST
    assert read_json(deep) == json.loads(deep)
    with pytest.raises(json.JSONDecodeError, match="nested too deeply"):
        read_json(f"[{deep}]")
    many = json.dumps([["["]] * 10_000)
    assert read_json(many) == [["["]] * 10_000


def test_what_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path may not be long
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
    kinds = {"pipe": "a pipe", "socket": "a socket", ".": "a folder", "/dev/null": "a device"}
    for name, kind in kinds.items():
        with pytest.raises(InputError, match=f"a file is needed; got {kind}"):
            regular_file(tmp_path / name)


def test_an_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_bytes("one\ncafé\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"p\.txt:2: not UTF-8; got byte 0xe9.*iconv -f latin1"):
        read_text(path)
    path.write_bytes("\ufeffcafé".encode())
    assert read_text(path) == "café"


def test_a_string_that_never_ends_is_read_once() -> None:
    began = time.monotonic()
    with pytest.raises(json.JSONDecodeError, match="nested too deeply"):
        read_json("[" * (DEEPEST + 1) + '"' + '\\"' * 100_000)
    assert time.monotonic() - began < 5  # from each of its quotes anew: minutes
