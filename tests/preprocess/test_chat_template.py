from __future__ import annotations

import threading
from datetime import datetime

import pytest

from zoo.errors import TemplateError
from zoo.preprocess.chat_template import ChatTemplate


def test_a_template_that_raises_is_quoted_with_its_line() -> None:
    template = ChatTemplate("{{ role }}\n\n{{ raise_exception('Roles must alternate') }}", name="tool_use")
    with pytest.raises(TemplateError) as failure:
        template.render({"role": "user"})
    assert str(failure.value) == "The chat template 'tool_use', line 3, refuses the messages: Roles must alternate"


def test_a_template_that_fails_says_where_and_why() -> None:
    with pytest.raises(TemplateError, match=r"'default', line 2, failed: UndefinedError: 'missing' is undefined\.$"):
        ChatTemplate("\n{{ missing.attribute }}").render({})
    with pytest.raises(TemplateError, match=r"line 1, failed: TypeError: can only concatenate str"):
        ChatTemplate("{{ 'a' + 1 }}").render({})


def test_a_syntax_error_names_its_line() -> None:
    with pytest.raises(TemplateError, match=r"^The chat template 'mine', line 3: Encountered unknown tag 'endif'"):
        ChatTemplate("a\nb\n{% endif %}", name="mine")


def test_blocks_are_trimmed_as_templates_expect() -> None:
    source = "{% for word in words %}\n    {% if true %}\n{{ word }}\n    {% endif %}\n{% endfor %}\nend\n"
    assert ChatTemplate(source).render({"words": ["a", "b"]}).text == "a\nb\nend"


def test_dates_are_of_today() -> None:
    before = datetime.now()
    text = ChatTemplate("{{ strftime_now('%Y-%m-%d') }}").render({}).text
    assert before.date() <= datetime.strptime(text, "%Y-%m-%d").date() <= datetime.now().date()


def test_json_is_not_escaped_for_html() -> None:
    source = "{{ data|tojson }}|{{ data|tojson(indent=2) }}|{{ data|tojson(true) }}"
    text = ChatTemplate(source).render({"data": {"é": "<a href='x'>&"}}).text
    assert text == ('{"é": "<a href=\'x\'>&"}|{\n  "é": "<a href=\'x\'>&"\n}|{"\\u00e9": "<a href=\'x\'>&"}')


def test_generation_spans_are_where_the_assistant_writes() -> None:
    source = "{% for m in messages %}[{% generation %}{{ m|upper }}{% endgeneration %}]é{% endfor %}"
    rendered = ChatTemplate(source).render({"messages": ["ab", "", "cde"]})
    assert rendered.text == "[AB]é[]é[CDE]é"
    assert [rendered.text[start:end] for start, end in rendered.generations] == ["AB", "", "CDE"]


def test_renderings_in_many_threads_do_not_meet() -> None:
    template = ChatTemplate(
        "{% for i in range(200) %}{{ name }}{% generation %}{{ name }}{% endgeneration %}{% endfor %}"
    )
    results = {}

    def render(name: str) -> None:
        results[name] = template.render({"name": name})

    threads = [threading.Thread(target=render, args=(str(number) * (number + 1),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, rendered in results.items():
        assert rendered.text == name * 400
        assert {rendered.text[start:end] for start, end in rendered.generations} == {name}
        assert len(rendered.generations) == 200
    assert len(results) == 8


def test_nothing_that_a_template_sets_outlives_its_rendering() -> None:
    ChatTemplate("{% set seen = 1 %}{% set ns = namespace(x=1) %}{% macro leak() %}{% endmacro %}").render({})
    text = ChatTemplate("{{ seen is defined }}{{ ns is defined }}{{ leak is defined }}").render({}).text
    assert text == "FalseFalseFalse"
