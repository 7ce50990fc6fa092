"""The metered sandbox is jinja2's own for what is harmless, and ends what is not."""

from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from jinja2.filters import FILTERS
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS

from zoo.errors import TemplateError
from zoo.preprocess.bounded import UNBOUNDABLE_FILTERS
from zoo.preprocess.chat_template import ChatTemplate
from zoo.preprocess.meter import Limits

FOLDER = Path(__file__).parent / "templates"

DATA: dict[str, Any] = {
    "text": "Hello World, it's <b>1</b>\n\nline\tthree  ",
    "words": ["beta", "Alpha", "gamma", "alpha"],
    "numbers": [3, 1.5, 2, -7, True],
    "people": [{"name": "Ann", "age": 30, "city": {"zip": 1}}, {"name": "bob", "age": 4, "city": {"zip": 2}}],
    "mapping": {"b": 1, "a": [1, 2], "C": None},
    "nothing": None,
}

HARMLESS = (FOLDER / "harmless.jinja").read_text("utf-8").splitlines()  # a template per line


@pytest.mark.parametrize("source", HARMLESS)
def test_harmless_templates_do_what_jinja2_does(source: str) -> None:
    reference = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    expected = reference.from_string(source).render(DATA)
    assert ChatTemplate(source).render(DATA).text == expected


def test_every_filter_and_test_is_among_the_harmless() -> None:
    used = "".join(HARMLESS)
    elsewhere = {"random", "tojson", "callable", *UNBOUNDABLE_FILTERS}
    assert {name for name in (*FILTERS, *TESTS) if name.isidentifier() and name not in used} <= elsewhere


AMPLIFIERS = (FOLDER / "amplifiers.jinja").read_text("utf-8").splitlines()  # a template per line


@pytest.mark.parametrize("source", AMPLIFIERS)
def test_nothing_large_is_made(source: str) -> None:
    limits = Limits(work=4_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(TemplateError, match=r"larger values|integer of more than|parts|digits"):
            ChatTemplate(source, limits=limits).render({"width": 10**9})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 2**20


_NEST = "{% set ns = namespace(a=[1], b=[1], t=(1,)) %}{% for i in range(100) %}"
_NESTED = _NEST + "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% set ns.t = (ns.t, ns.t) %}{% endfor %}"
_DEEP = "{% set ns = namespace(t=(1,)) %}{% for i in range(10000) %}{% set ns.t = (ns.t,) %}{% endfor %}"

BOMBS = {
    "a loop without end": "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "a range without end": "{% for i in range(10**9) %}{% endfor %}",
    "a loop that writes": "{% for i in range(100000) %}{% for j in range(100000) %}text{% endfor %}{% endfor %}",
    "a loop inside a block": "{% set x %}{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}"
    "{% endset %}",
    "a filtered loop": "{% for i in range(100000) if i < 0 %}{% endfor %}" * 50,
    "recursion": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "recursion that doubles": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}"
    "{{ f(60) }}",
    "a recursive loop": "{% for x in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}",
    "a recursive loop over much": "{% for x in [1] recursive %}{% if loop.depth < 4 %}{{ loop(range(9999)) }}"
    "{% endif %}{% endfor %}",
    "a block that calls itself": "{% block b %}{{ self.b() }}{% endblock %}",
    "sums of lists": "{{ ([[1]] * 100000)|sum(start=[])|length }}",
    "maps of maps": "{% set ns = namespace(x=range(100000)) %}{% for i in range(999) %}"
    "{% set ns.x = ns.x|map('string') %}{% endfor %}",
    "printing what is nested": _NESTED + "{{ ns.a }}",
    "joining it": _NESTED + "{{ 'x' ~ ns.a }}",
    "as JSON": _NESTED + "{{ ns.a|tojson }}",
    "as a string": _NESTED + "{{ ns.a|string|length }}",
    "formatted": _NESTED + "{{ '%s' % (ns.a,) }}",
    "formatted by method": _NESTED + "{{ '{0[0]}'.format(ns.a) }}",
    "compared": _NESTED + "{{ ns.a == ns.b }}",
    "looked for": _NESTED + "{{ ns.a in [ns.b] }}",
    "tested": _NESTED + "{{ ns.a is eq ns.b }}",
    "sorted": _NESTED + "{{ [ns.a, ns.b]|sort }}",
    "hashed": _NESTED + "{{ {ns.t: 1} }}",
    "hashed as a subscript": _NESTED + "{{ {}[ns.t] }}",
    "hashed by a method": _NESTED + "{{ {}.get(ns.t) }}",
    "hashed by a filter": _NESTED + "{{ [ns.t]|unique|list }}",
    "hashed deeply": _DEEP + "{{ {ns.t: 1} }}",
    "printed deeply": _DEEP + "{{ ns.t }}",
    "holding itself": "{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns.a }}",
    "holding itself, alone": "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
    "dates": "{{ strftime_now('%Y' * 1000) }}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_does_not_end_is_ended(name: str) -> None:
    limits = Limits(seconds=2.0, work=3_000_000, nodes=10_000, output=10_000)
    template = ChatTemplate(BOMBS[name], limits=limits)
    failures: list[TemplateError] = []

    def render() -> None:
        with pytest.raises(TemplateError) as failure:
            template.render({})
        failures.append(failure.value)

    thread = threading.Thread(target=render)  # as a server would; what ends it needs no signals
    thread.start()
    thread.join()
    assert "The chat template 'default'" in str(failures[0])
    assert any(reason in str(failures[0]) for reason in ("stopped", "Range too big"))


def test_time_ends_a_long_body_of_few_operations() -> None:
    source = "{% for i in range(100000) %}" + "{% if i %}{% endif %}" * 500 + "{% endfor %}"
    with pytest.raises(TemplateError, match=r"takes more than 0\.05 seconds; it was stopped"):
        ChatTemplate(source, limits=Limits(seconds=0.05)).render({})


def test_limits_grow_with_what_is_given() -> None:
    messages = [{"role": "user", "content": "word " * 200} for _ in range(1000)]
    source = """
    {%- set ns = namespace(all='') %}
    {%- for message in messages %}
        {%- set ns.all = ns.all + message.content %}
        {%- if messages|length > 3 and message in messages %}
            {{- message.content|trim ~ messages[loop.index0:]|length }}
        {%- endif %}
    {%- endfor %}{{ ns.all|length }}"""
    limits = Limits(work=1000, output=1000)
    assert ChatTemplate(source, limits=limits).render({"messages": messages}).text.endswith("1000000")
    with pytest.raises(TemplateError, match="makes larger values"):
        ChatTemplate("{{ 'a' * 1000000 }}", limits=limits).render({"messages": messages[:1]})


ESCAPES = (FOLDER / "escapes.jinja").read_text("utf-8").splitlines()  # a template per line


@pytest.mark.parametrize("source", ESCAPES)
def test_nothing_outside_is_reached(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    messages = [{"role": "user", "content": "x"}]
    with pytest.raises(TemplateError):
        ChatTemplate(source).render({"messages": messages})
    assert messages == [{"role": "user", "content": "x"}]
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_compile_is_refused() -> None:
    hostile = {
        "{{ " + "(" * 30000 + "1" + ")" * 30000 + " }}": "RecursionError",
        "{{ a" + ".b" * 20000 + " }}": "RecursionError",
        "{{ a" + "|e" * 20000 + " }}": "RecursionError",
        "{% if a %}" * 3000 + "{% endif %}" * 3000: "RecursionError",
        "{% for x in a %}" * 25 + "{% endfor %}" * 25: "statically nested",
        "{{ " + "9" * 30000 + " }}": "digits",
        "x" * 70000: "at most 65,536",
        "{{ 'a' }": "line 1: unexpected",
        "one\ntwo\n{% if %}": "line 3",
        "one\n{{ x|no_such_filter }}": "line 2: No filter named 'no_such_filter'",
        "{% generation %}": "line 1",
        "one\n{% include 'x' %}": "line 2: a chat template can't load another",
    }
    for source, reason in hostile.items():
        with pytest.raises(TemplateError, match=reason):
            ChatTemplate(source)
