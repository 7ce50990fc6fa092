from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zoo.preprocess.cleanup import clean_up_spaces, settled_length

ENGLISH = st.text(st.sampled_from(" '.?!,ntmsvrea"), max_size=16)


def test_spaces_before_punctuation_go() -> None:
    assert (
        clean_up_spaces("it 's here , do n't you see ? yes ! I 'm sure .") == "it's here, don't you see? yes! I'm sure."
    )


@given(ENGLISH, ENGLISH)
def test_a_text_may_be_cleaned_in_two_at_the_cut(text: str, following: str) -> None:
    cut = settled_length(text)
    whole = clean_up_spaces(text + following)
    assert clean_up_spaces(text[:cut]) + clean_up_spaces(text[cut:] + following) == whole
