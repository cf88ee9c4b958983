"""Sentences without keywords, but with what sounds nearly like them."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws_tf.labels import KEYWORDS
from kws_tf.synthesis import fresh_process, sentences, vocabulary
from kws_tf.synthesis.engine import ACCENTS, Espeak
from kws_tf.synthesis.sentences import lexicon_without, plain, sentence

OWN = ("lights on", "bedroom_off", "dim", "write")


@pytest.fixture(scope="module", params=[KEYWORDS, OWN], ids=["benchmark", "own"])
def words(request):
    return request.param


@pytest.fixture(scope="module")
def of_words(words):
    return lexicon_without(words)


def some(of_words, number=400, seed=0):
    rng = np.random.default_rng(seed)
    return [sentence(rng, of_words) for _ in range(number)]


def pronounced(texts):
    """For a fresh process: how espeak-ng pronounces each text in each accent."""
    return vocabulary.spoken(Espeak(), texts)


def runs(text, longest=3):
    words = plain(text).split()
    for start in range(len(words)):
        for length in range(1, longest + 1):
            yield " ".join(words[start : start + length])


# --- What is not in them.


def test_no_keyword_nor_what_sounds_like_one(words, of_words):
    # Words together, as espeak-ng speaks them: another way than that of the code.
    said = {run for text in some(of_words) for run in runs(text)}
    keywords = [word.replace("_", " ") for word in words]
    assert said.isdisjoint(keywords)
    taken = {way for ways in fresh_process.call(pronounced, keywords).values() for way in ways}
    ways = fresh_process.call(pronounced, sorted(said))
    assert not [text for text in said if taken & set(ways[text])]


def test_no_listed_word_is_a_keyword():
    benchmark = lexicon_without(KEYWORDS)
    assert {"know", "write"}.isdisjoint(benchmark.words)
    assert "on the *" not in benchmark.phrases
    assert benchmark.holds_keyword("the know of it")
    assert not benchmark.holds_keyword("the golden note of it")  # only within a word
    other = lexicon_without(["marvin"])
    assert {"know", "write"} <= set(other.words)
    assert "on the *" in other.phrases


def test_parts_of_a_phrase_may_be_said_alone():
    own = lexicon_without(OWN)
    assert {"lights", "on lights", "light on"} <= set(own.near["lights on"])
    assert not own.holds_keyword("lights and on the bedroom wall is off")
    assert own.holds_keyword("so many lights on the wall")
    assert own.holds_keyword("bedroom off")
    assert not own.holds_keyword("off bedroom dime")
    assert own.holds_keyword("the right light")  # sounds as "write"


def test_a_phrase_across_sentences():
    own = replace(lexicon_without(["lights on"]), phrases=("on *", "the *"))
    rng = np.random.default_rng(0)
    after = [sentence(rng, own, "all the lights").split()[0] for _ in range(50)]
    assert "on" not in after
    assert "on" in [sentence(rng, own).split()[0] for _ in range(50)]


def test_a_keyword_across_words():
    of_today = lexicon_without(["into"])
    assert of_today.holds_keyword("he is in to win")
    assert not of_today.holds_keyword("he is in the tin to win")


# --- What is in them.


def test_every_third_sentence_has_a_near_neighbour(words, of_words):
    told = [set(runs(text)) for text in some(of_words, 1000)]
    for word in words:
        assert len(of_words.near[word]) >= 6
        assert sum(not said.isdisjoint(of_words.near[word]) for said in told) >= 5
    near = {text for texts in of_words.near.values() for text in texts}
    assert 0.3 < np.mean([not said.isdisjoint(near) for said in told]) < 0.65  # some by chance


def test_words_around_a_keyword():
    around = lexicon_without(KEYWORDS).around
    for keyword, word in (
        *(("yes", "yesterday"), ("no", "notice"), ("up", "puppet"), ("left", "cleft")),
        *(("right", "frighten"), ("on", "honest"), ("off", "coffee"), ("go", "golden")),
        *(("stop", "stopping"), ("down", "announce")),  # one of the phonemes is missing
    ):
        assert word in around[keyword]
    of_phrase = lexicon_without(OWN).around["lights on"]
    assert "honest" in of_phrase  # around a part


def test_words_around_a_keyword_are_drawn_more_often(of_words):
    drawn = Counter(word for text in some(of_words, 1000) for word in plain(text).split())
    functions = {word for phrase in of_words.phrases for word in phrase.split()}
    near = {word for texts in of_words.near.values() for text in texts for word in text.split()}
    around = {word for texts in of_words.around.values() for word in texts} - functions - near
    others = set(of_words.words) - functions - near - around
    often, seldom = (np.mean([drawn[word] for word in some]) for some in (around, others))
    assert often > 4 * seldom > 0


def test_without_near_sounding_words():
    bare = replace(lexicon_without(["dim"]), near={"dim": ()}, around={"dim": ()})
    assert len(set(some(bare, 20))) == 20


def test_melody():
    texts = some(lexicon_without(["dim"]))
    assert {text[-1] for text in texts} == set(".!?")
    assert 0.3 < np.mean(["," in text for text in texts]) < 0.9
    assert not {mark for text in texts for mark in ".,!?"} & set("".join(map(plain, texts)))
    assert 6 < np.mean([len(text.split()) for text in texts]) < 12


def test_the_seed_decides():
    of_dim = lexicon_without(["dim"])
    assert some(of_dim, 5) == some(lexicon_without(["dim"]), 5) != some(of_dim, 5, seed=1)


# --- How it is found.


@given(st.text("abc", max_size=4), st.text("abc", max_size=6))
def test_edits_within(a, b):
    parts = {b[i:j] for i in range(len(b) + 1) for j in range(i, len(b) + 1)}
    fewest = min(vocabulary._edits(a, part) for part in parts)
    assert sentences._edits_within(tuple(a), tuple(b)) == fewest


def test_lists_have_each_word_once():
    words = vocabulary.listed("common_words.txt") + vocabulary.listed("longer_words.txt")
    assert len(set(words)) == len(words) > 2000
    assert len(ACCENTS) == len(fresh_process.call(pronounced, ["yes"])["yes"])
