"""Settings: every value's type and range is checked, wherever it comes from."""

import dataclasses
import json
import sys

import hypothesis.strategies as st
import pytest
from hypothesis import assume, given

from kws_tf.errors import KwsError
from kws_tf.settings import Augmentation, DataSettings, TrainSettings, as_json, from_json

CLASSES = (TrainSettings, DataSettings, Augmentation)
FIELDS = [(one, entry) for one in CLASSES for entry in dataclasses.fields(one)]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)


def fits(value, default) -> bool:
    """Whether a value that JSON holds has the type of a setting."""
    if isinstance(default, tuple):
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    return isinstance(value, int | float if isinstance(default, float) else type(default))


@given(st.sampled_from(FIELDS), JSON)
def test_a_value_of_another_type_is_one_sentence(where, value):
    settings_class, entry = where
    assume(not fits(value, entry.default))
    with pytest.raises(KwsError) as error:
        from_json(settings_class, {entry.name: value})
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"--{entry.name.replace('_', '-')} is ")


@given(st.sampled_from(FIELDS), st.integers() | st.floats())
def test_numbers_are_taken_within_their_range_alone(where, value):
    settings_class, entry = where
    assume(fits(value, entry.default))
    low, high = entry.metadata["low"], entry.metadata["high"]
    if low <= value <= (sys.float_info.max if high is None else high):
        assert getattr(from_json(settings_class, {entry.name: value}), entry.name) == value
    else:
        with pytest.raises(KwsError, match="is out of range; choose a value from"):
            from_json(settings_class, {entry.name: value})


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 10**400])
def test_a_number_without_an_upper_bound_is_finite(value):
    with pytest.raises(KwsError, match="out of range"):
        TrainSettings(learning_rate=value)


@pytest.mark.parametrize("settings_class", CLASSES)
def test_settings_come_back_from_json(settings_class):
    settings = settings_class()
    assert from_json(settings_class, json.loads(json.dumps(as_json(settings)))) == settings


def test_a_choice_or_a_field_that_is_none_is_refused():
    with pytest.raises(KwsError, match="there is no --profile 'none'; choose one of tflite, paper"):
        TrainSettings(profile="none")
    with pytest.raises(KwsError, match=r"another version of kws_tf \(they have 'new'\)"):
        from_json(DataSettings, {"new": 1})


def test_augmentation_can_be_turned_off():
    assert set(dataclasses.asdict(Augmentation.off()).values()) == {0}
