"""Synonyms: WordNet as nltk or Debian lays it out, or neighbours among word vectors."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from engine.augment import synonyms
from engine.augment.synonyms import LEXNAMES, load_synonyms, neighbours, wordnet, wordnet_folder
from engine.base.errors import InputError

SYNSETS = {
    "noun": [("06", ["film", "movie", "picture_show"]), ("06", ["film", "plastic_film"]), ("18", ["actor"])],
    "verb": [("36", ["film", "shoot"])],
    "adj": [("00", ["good", "fine"])],
    "adv": [("02", ["well"])],
}
LETTER = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}


def small_wordnet(folder: Path, lexnames: bool = True, more: int = 0) -> Path:
    """A dictionary of a few words in WordNet's own files (wndb(5WN)), and of `more` pairs of nouns."""
    folder.mkdir(parents=True)
    if lexnames:
        (folder / "lexnames").write_text("\n".join(LEXNAMES) + "\n", "utf-8")
    nouns = [("06", [f"noun{number}", "filler"]) for number in range(more)]
    for part, synsets in (SYNSETS | {"noun": SYNSETS["noun"] + nouns}).items():
        text, places = "", {}
        for topic, words in synsets:
            offset = len(text)
            listed = " ".join(f"{word} 0" for word in words)
            text += f"{offset:08d} {topic} {LETTER[part]} {len(words):02x} {listed} 000 | a meaning  \n"
            for word in words:
                places.setdefault(word, []).append(offset)
        (folder / f"data.{part}").write_text(text, "utf-8")
        lines = [
            f"{word} {LETTER[part]} {len(at)} 0 {len(at)} 0 {' '.join(f'{offset:08d}' for offset in at)}  \n"
            for word, at in sorted(places.items())
        ]
        (folder / f"index.{part}").write_text("".join(lines), "utf-8")
        (folder / f"{part}.exc").write_text("", "utf-8")
    return folder


@pytest.mark.parametrize("lexnames", [True, False], ids=["complete", "as Debian has it"])
def test_lemmas_that_share_a_meaning(tmp_path: Path, lexnames: bool) -> None:
    found = wordnet(small_wordnet(tmp_path / "wordnet", lexnames))
    assert found("film") == ("movie", "shoot")
    assert found("good") == ("fine",)
    assert found("actor") == found("unheard") == ()


def places(name: str) -> list[str]:
    """Where this process stands in its open files of a name."""
    numbers = [file.name for file in Path("/proc/self/fd").iterdir() if file.resolve().name == name]
    return [Path("/proc/self/fdinfo", number).read_text().splitlines()[0] for number in numbers]


@pytest.mark.skipif(not Path("/proc/self/fdinfo").is_dir(), reason="this system has no /proc")
def test_a_forked_process_does_not_move_in_the_files_of_its_parent(tmp_path: Path) -> None:
    """An open file has one place, which several workers would move under each other's eyes."""
    found = wordnet(small_wordnet(tmp_path / "wordnet", more=20_000))
    assert found("movie") == ("film",)
    before = places("data.noun")
    assert before
    child = os.fork()
    if not child:
        os._exit(0 if found("noun19999") == ("filler",) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert places("data.noun") == before


def test_the_names_of_wordnet_s_files() -> None:
    assert len(LEXNAMES) == 45
    assert (LEXNAMES[0], LEXNAMES[3], LEXNAMES[29], LEXNAMES[44]) == (
        "00\tadj.all\t3",
        "03\tnoun.Tops\t1",
        "29\tverb.body\t2",
        "44\tadj.ppl\t3",
    )


def test_nltk_s_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk

    folder = small_wordnet(tmp_path / "corpora" / "wordnet")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    assert wordnet_folder() == folder
    found = load_synonyms("auto")
    assert found is not None
    assert found("movie") == ("film",)


def test_debian_s_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk

    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(synonyms, "DEBIAN", small_wordnet(tmp_path / "wordnet", lexnames=False))
    found = load_synonyms("wordnet")
    assert found is not None
    assert found("movie") == ("film",)


def test_without_wordnet_words_change_places_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import nltk

    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(synonyms, "DEBIAN", tmp_path / "none")
    assert load_synonyms("auto") is None
    assert load_synonyms("none") is None
    with pytest.raises(InputError, match=r"augmentation\.random\.synonyms: WordNet is not on this machine"):
        load_synonyms("wordnet")


def test_neighbours_among_word_vectors(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("film 1 0\nmovie 0.9 0.1\n, 1 0.01\ntax 0 1\n", "utf-8")
    found = load_synonyms(str(path))
    assert found is not None
    assert found("film") == ("movie",)
    assert found("tax") == found("unheard") == ()


def test_the_nearest_come_first_and_a_zero_vector_has_none() -> None:
    found = neighbours(["a", "b", "c", "d"], np.array([[1, 0], [1, 0.5], [1, 0.1], [0, 0]], dtype=np.float32))
    assert found("a") == ("c", "b")
    assert found("d") == ()


def test_no_such_file_of_vectors() -> None:
    with pytest.raises(InputError, match="no such file"):
        load_synonyms("/none/vectors.txt")
