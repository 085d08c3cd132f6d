"""Synonyms: WordNet as nltk or Debian lays it out, or neighbours among word vectors."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from engine.augment import synonyms
from engine.augment.synonyms import LEXNAMES, load_synonyms, wordnet, wordnet_folder
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
        (folder / "lexnames").write_text(f"{LEXNAMES}\n", "utf-8")
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


def naive_neighbours(word: str, vectors: dict[str, np.ndarray]) -> list[str]:
    """The five nearest words, and of these the alphabetic ones with a cosine of 0.6 or more."""
    cosines = {
        other: float(vectors[word] @ vector / np.linalg.norm(vectors[word]) / np.linalg.norm(vector))
        for other, vector in vectors.items()
        if other != word
    }
    nearest = sorted(cosines, key=lambda other: -cosines[other])[:5]
    return [other for other in nearest if cosines[other] >= 0.6 and other.isalpha()]


def test_neighbours_are_those_of_a_naive_search(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    names = [f"w{chr(97 + place // 26)}{chr(97 + place % 26)}" for place in range(300)]
    names[::7] = [f"{name}1" for name in names[::7]]
    vectors = {name: dice.standard_normal(4).astype(np.float32) * dice.uniform(0.1, 9) for name in names}
    path = tmp_path / "vectors.txt"
    path.write_text("".join(f"{name} {' '.join(map(str, vectors[name]))}\n" for name in names), "utf-8")
    found = load_synonyms(str(path))
    assert found is not None
    expected = {name: naive_neighbours(name, vectors) for name in names}
    assert {name: list(found(name)) for name in names} == expected
    assert {len(near) for near in expected.values()} >= {2, 3, 4, 5}


def test_the_nearest_come_first_and_a_zero_vector_has_none(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("a 1 0\nb 1 0.5\nc 1 0.1\nA 1 0\nd 0 0\n", "utf-8")
    found = load_synonyms(str(path))
    assert found is not None
    assert found("a") == ("c", "b")  # and not itself in capitals
    assert found("d") == ()


def test_no_such_file_of_vectors() -> None:
    with pytest.raises(InputError, match="no such file"):
        load_synonyms("/none/vectors.txt")
