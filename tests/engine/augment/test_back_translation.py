"""Back-translation by two tiny Marian models; what they say is nonsense, and the way there is real."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from transformers import AutoTokenizer, MarianConfig, MarianMTModel

from engine.augment import back_translation
from engine.augment.back_translation import BackTranslated, Translations
from engine.augment.passages import passage_of
from engine.base.errors import InputError
from engine.base.machine import Machine
from engine.pipeline import BackTranslation
from tests.engine.models.damage import Damage, config, sharded, stored, without, written
from tests.tokenizers import CORPUS
from tests.toys import save_tiny, toy_task


def save_marian(folder: Path, seed: int) -> str:
    """A Marian model with random weights, in the layout of the hub."""
    folder.mkdir(parents=True)
    for side in ("source", "target"):
        SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS * 5), model_prefix=str(folder / side), vocab_size=120, minloglevel=2
        )
        (folder / f"{side}.model").rename(folder / f"{side}.spm")
        (folder / f"{side}.vocab").unlink()
    pieces = SentencePieceProcessor(model_file=str(folder / "source.spm"))
    words = ["</s>", "<unk>", *(pieces.id_to_piece(place) for place in range(3, len(pieces))), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate(words)}), "utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "MarianTokenizer", "source_lang": "en", "target_lang": "de"}), "utf-8"
    )
    torch.manual_seed(seed)
    config = MarianConfig(
        vocab_size=len(words),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=300,
        pad_token_id=len(words) - 1,
        eos_token_id=0,
        decoder_start_token_id=len(words) - 1,
        forced_eos_token_id=0,
    )
    MarianMTModel(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(name="spec", scope="module")
def _spec(tmp_path_factory: pytest.TempPathFactory) -> BackTranslation:
    folder = tmp_path_factory.mktemp("marian")
    return BackTranslation(there=save_marian(folder / "there", 0), back=save_marian(folder / "back", 1))


def translated(spec: BackTranslation, texts: Sequence[str], machine: Machine, seed: int = 0) -> list[str]:
    passages = BackTranslated(spec, machine)([passage_of(text) for text in texts], np.random.default_rng(seed))
    return [passage.text for passage in passages]


def test_the_models_translate_there_and_back(spec: BackTranslation, machine: Machine) -> None:
    """What comes out is what transformers gives for one text alone, without padding."""
    texts = [CORPUS[0], "A teacher.", CORPUS[4]]
    expected = []
    for text in texts:
        for folder in (spec.there, spec.back):
            tokenizer = AutoTokenizer.from_pretrained(folder)
            model = MarianMTModel.from_pretrained(folder).eval()
            output = model.generate(
                **tokenizer([text], return_tensors="pt"), num_beams=1, do_sample=False, max_length=256
            )
            text = tokenizer.decode(output[0], skip_special_tokens=True).strip() or text
        expected.append(text)
    found = translated(spec, texts, machine)
    assert found == expected
    assert found != texts


def test_a_share_of_the_texts(spec: BackTranslation, machine: Machine) -> None:
    half = spec.model_copy(update={"strength": 0.5})
    texts = [f"{text} {place}" for place, text in enumerate(CORPUS * 3)]
    found = translated(half, texts, machine)
    changed = sum(one != other for one, other in zip(texts, found, strict=True))
    assert 4 <= changed <= 20


def test_every_text_is_translated_once(
    spec: BackTranslation, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = translated(spec, [CORPUS[0], CORPUS[0], CORPUS[1]], machine)
    monkeypatch.delattr(back_translation.Translator, "__call__")
    assert translated(spec, [CORPUS[1], CORPUS[0], CORPUS[0]], machine) == first[::-1]


def test_other_models_have_translations_of_their_own(spec: BackTranslation, machine: Machine) -> None:
    turned = BackTranslation(there=spec.back, back=spec.there)
    assert translated(spec, CORPUS[:3], machine) != translated(turned, CORPUS[:3], machine)


def test_a_text_that_is_too_long_stays(
    spec: BackTranslation, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(back_translation, "LONGEST", 12)
    long = " ".join(CORPUS)
    assert translated(spec, [long], machine) == [long]


def test_processes_share_what_is_translated(tmp_path: Path, ear) -> None:
    path = tmp_path / "t.db"
    code = (
        "import sys; from pathlib import Path; from engine.augment.back_translation import Translations\n"
        "from engine.base.progress import SilentReporter\n"
        "kept = Translations(Path(sys.argv[1]), SilentReporter())\n"
        "for place in range(30): kept.add({f'both {place}': 'x', f'{sys.argv[2]} {place}': 'y'})"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in "ab"]
    assert [process.wait(120) for process in both] == [0, 0]
    texts = [f"{name} {place}" for name in ("both", "a", "b") for place in range(30)]
    assert set(Translations(path, ear).read(texts)) == set(texts)


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"[" * 100_000, "cut", "other table"], ids=str)
def test_a_damaged_file_of_translations_is_made_anew(content: bytes | str, tmp_path: Path, ear) -> None:
    path = tmp_path / "translations" / "t.db"
    known = {f"text {place}" * 20: f"found {place}" * 20 for place in range(500)}
    Translations(path, ear).add(known)
    if content == "other table":
        with sqlite3.connect(path) as connection:
            connection.execute("DROP TABLE translations")
            connection.execute("CREATE TABLE translations (text TEXT)")
    else:
        path.write_bytes(path.read_bytes()[:9_000] if isinstance(content, str) else content)
    again = Translations(path, ear)
    assert again.read(known) == {}
    again.add(known)
    assert again.read(known) == known
    assert ear.messages == ([] if content == b"" else ["The kept translations were damaged and are made anew."])


def test_no_flipped_bit_gives_another_translation(tmp_path: Path, ear) -> None:
    path = tmp_path / "translations" / "t.db"
    known = {f"text {place}": f"found {place}" for place in range(50)}
    Translations(path, ear).add(known)
    content = path.read_bytes()
    for place in range(0, len(content), 101):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        assert Translations(path, ear).read(known).items() <= known.items()


def test_a_model_that_does_not_translate_is_refused(spec: BackTranslation, tmp_path: Path, machine: Machine) -> None:
    save_tiny(tmp_path, toy_task("single", rows=8, held_out=4))
    wrong = spec.model_copy(update={"back": str(tmp_path)})
    with pytest.raises(InputError, match=r"augmentation\.back_translation\.back: no model that translates"):
        BackTranslated(wrong, machine)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "body": (stored(lambda name: "encoder.layers.0" not in name), "no model that translates can be loaded"),
    "words": (written("vocab.json", '{"</s>": 0, "<unk>": 1, "<pad>": 2}'), "vocab.json"),
    "spm": (without("source.spm"), "its tokenizer cannot be used: tokenizer_config.json, vocab.json, target.spm"),
    "all words": (without("source.spm", "target.spm", "vocab.json"), "this model has no tokenizer"),
    "pickle": (sharded(lambda name, shard: "pytorch_model.bin"), "from 'pytorch_model.bin', which is no safetensors"),
    "layers": (config(encoder_layers=10**9), "config.json: encoder_layers must be at most 1,000"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_model_is_refused(case: str, spec: BackTranslation, tmp_path: Path, machine: Machine) -> None:
    damage, words = DAMAGES[case]
    folder = shutil.copytree(spec.back, tmp_path / "model")
    damage(folder)
    with pytest.raises(InputError, match=r"augmentation\.back_translation\.back: ") as caught:
        BackTranslated(spec.model_copy(update={"back": str(folder)}), machine)
    assert words in str(caught.value)
