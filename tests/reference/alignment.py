"""Alignment of two tokenizers with one loop over each: slow, and easy to check."""

from __future__ import annotations

from typing import Any


def described(tokenizer: Any, texts: tuple[str, ...], max_length: int) -> list[tuple[str, set[int]]]:
    """For each token its place and the characters it covers, whitespace at the ends left out."""
    encoding = tokenizer(*texts, truncation="longest_first", max_length=max_length, return_offsets_mapping=True)
    sequences, tokens = encoding.sequence_ids(), []
    for position, (start, end) in enumerate(encoding["offset_mapping"]):
        text = sequences[position]
        if text is None:
            earlier = any(sequence is not None for sequence in sequences[:position])
            later = any(sequence is not None for sequence in sequences[position:])
            place = "between" if earlier and later else "after" if earlier else "before"
            tokens.append((place, set()))
            continue
        if texts[text][start:end].strip():
            while texts[text][start].isspace():
                start += 1
            while texts[text][end - 1].isspace():
                end -= 1
        tokens.append((f"text {text}", set(range(start, end))))
    return tokens


def align(student: Any, teacher: Any, texts: tuple[str, ...], max_length: int) -> list[list[float]]:
    """Student token × teacher token: the weights of the mean over overlapping teacher tokens."""
    mine, its = described(student, texts, max_length), described(teacher, texts, max_length)
    weights = []
    for place, characters in mine:
        special = not place.startswith("text")
        partners = [place == other and (special or bool(characters & covered)) for other, covered in its]
        count = sum(partners)
        weights.append([1 / count if partner else 0.0 for partner in partners])
    return weights
