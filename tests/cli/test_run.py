"""`zoo run`."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo.cli.text import without_controls
from zoo.preprocess.image import ImagePreprocessor


@pytest.fixture
def generate(zoo_here, talker):
    """Run text-generation with the tiny model."""

    def run(*arguments, stdin="", length=12):
        return zoo_here("run", "text-generation", str(talker), *arguments, f"--max-new-tokens={length}", stdin=stdin)

    return run


@pytest.fixture
def classify(zoo_here, classifier):
    """Run text-classification with the tiny classifier."""
    return lambda *arguments, stdin="": zoo_here("run", "text-classification", str(classifier), *arguments, stdin=stdin)


def objects(finished):
    assert finished.exit_code == 0, finished.stderr
    return [json.loads(line) for line in finished.stdout.splitlines()]


def test_it_prints_what_the_pipeline_returns(generate, talker):
    expected = zoo.pipeline("text-generation", talker)("Hello", max_new_tokens=12)
    finished = generate("Hello")
    assert (finished.exit_code, finished.stdout, finished.stderr) == (0, without_controls(expected.text) + "\n", "")
    (only,) = objects(generate("Hello", "--json"))
    assert only["input"] == "Hello"
    assert only["text"] == expected.text
    assert only["token_ids"] == list(expected.token_ids)
    assert (only["finish_reason"], only["prompt_tokens"]) == ("length", 5)


def test_the_default_task_name_has_aliases(zoo_here, talker):
    assert zoo_here("run", "causal-lm", str(talker), "Hello", "--max-new-tokens=2").exit_code == 0


def test_control_characters_do_not_reach_the_terminal(generate):
    (result,) = objects(generate("Hello", "--temperature=9", "--seed=3", "--json", length=300))
    raw = result["text"]
    assert any(ord(character) < 32 and character not in "\n\t" for character in raw), "the test needs such a text"
    shown = generate("Hello", "--temperature=9", "--seed=3", length=300).stdout
    assert shown == without_controls(raw) + "\n"
    assert not any(ord(character) < 32 and character not in "\n\t" for character in shown)


@pytest.mark.parametrize("arguments", [[], ["-"], ["--file", "-"]])
def test_each_line_of_standard_input_is_an_input(generate, arguments):
    results = objects(generate(*arguments, "--json", stdin="one\ntwo\r\nthree\n\n"))
    assert [result["input"] for result in results] == ["one", "two", "three"]


def test_results_keep_the_order_of_inputs_over_many_batches(generate):
    words = ["a much longer line than others", "b", "cc", "ddd", "eeee"]
    together = objects(generate(*words, "--json", "--batch-size=2"))
    alone = [objects(generate(word, "--json"))[0] for word in words]
    assert [result["input"] for result in together] == words
    assert [result["token_ids"] for result in together] == [result["token_ids"] for result in alone]


def test_a_file_has_one_input_per_line(generate, tmp_path):
    file = tmp_path / "inputs.txt"
    file.write_bytes("\ufeffGrüße\nzwei\n".encode())
    assert [result["input"] for result in objects(generate("--file", str(file), "--json"))] == ["Grüße", "zwei"]


def test_an_empty_line_in_between_is_an_error_that_names_it(generate):
    finished = generate("--batch-size=1", stdin="one\n\nthree\n")
    assert finished.exit_code == 1
    assert "standard input: line 2 is empty" in finished.stderr


def test_input_that_is_not_utf_8_is_an_error(generate, tmp_path):
    file = tmp_path / "latin.txt"
    file.write_bytes(b"Gr\xfc\xdfe\n")
    finished = generate("--file", str(file))
    assert finished.exit_code == 1 and f"{file}: " in finished.stderr and "not UTF-8" in finished.stderr


def test_a_file_that_is_not_there_is_an_error(generate):
    finished = generate("--file", "/no/such/file")
    assert finished.exit_code == 1
    assert finished.stderr.startswith("zoo: error: /no/such/file: no such file or directory.\n")


@pytest.mark.parametrize("name", ["/", "nul\0"])
def test_what_can_not_be_read_as_a_file_is_an_error(generate, name):
    finished = generate("--file", name)
    assert finished.exit_code == 1 and finished.stderr.startswith("zoo: error: ") and "Errno" not in finished.stderr


def test_a_file_that_is_not_there_is_told_of_before_a_model_is_loaded(zoo_here):
    finished = zoo_here("run", "text-generation", "/no/such/model", "--file", "/no/such/file")
    assert finished.exit_code == 1 and "/no/such/file" in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Hello", "--file", "x"], "not both"),
        (["Hello", "--stream", "--json"], "--stream and --json"),
        (["Hello", "--set", "top_k"], "KEY=VALUE"),
        (["Hello", "--batch-size", "0"], "--batch-size"),
        (["Hello", "--seed", "many"], "--seed"),
        (["Hello", "--seed", "-1"], "--seed"),
        (["Hello", "--max-new-tokens", "-3"], "--max-new-tokens"),
        (["Hello", "--temperature", "-1"], "--temperature"),
        (["Hello", "--top-k", "-1"], "--top-k"),
        (["Hello", "--top-p", "1.5"], "--top-p"),
        (["Hello", "--min-p", "2"], "--min-p"),
        (["Hello", "--repetition-penalty", "0"], "--repetition-penalty"),
    ],
)
def test_what_is_called_wrongly_is_a_usage_error_before_anything_is_loaded(zoo_here, arguments, message):
    finished = zoo_here("run", "text-generation", "/no/such/model", *arguments)
    assert finished.exit_code == 2 and message in finished.stderr and finished.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-task", "llama", "x"], "There is no task 'no-such-task'"),
        (["text-generation", "/no/such/model", "x"], "/no/such/model: no such file or directory"),
        (["text-generation", "lama", "x"], "Did you mean 'llama'"),
    ],
)
def test_what_does_not_exist_is_an_error(zoo_here, arguments, message):
    finished = zoo_here("run", *arguments)
    assert finished.exit_code == 1 and message in finished.stderr


def test_options_are_the_settings_of_the_pipeline(generate, talker):
    expected = zoo.pipeline("text-generation", talker)(
        "Hello", max_new_tokens=12, temperature=0.7, top_k=50, top_p=0.9, min_p=0.01, repetition_penalty=1.2, seed=5
    )
    options = ["--temperature=0.7", "--top-k=50", "--top-p=0.9", "--min-p=0.01", "--repetition-penalty=1.2", "--seed=5"]
    (result,) = objects(generate("Hello", *options, "--json"))
    assert result["token_ids"] == list(expected.token_ids)


def test_any_other_setting_can_be_set(generate):
    (result,) = objects(generate("Hello", "--set", "logprobs=true", "--set", "min-new-tokens=3", "--json"))
    assert len(result["logprobs"]) == len(result["token_ids"]) >= 3


def test_stop_may_be_given_several_times(generate):
    (whole,) = objects(generate("Hello", "--json"))
    first = whole["text"].strip()[3:5]
    (result,) = objects(generate("Hello", "--stop=never said", f"--stop={first}", "--json"))
    assert result["finish_reason"] == "stop_string"
    assert result["text"] == whole["text"].partition(first)[0]


def test_a_setting_that_does_not_exist_is_called_wrongly(generate, classify):
    finished = generate("Hello", "--set", "temprature=1")
    assert finished.exit_code == 2 and "temperature" in finished.stderr
    finished = classify("Hello", "--temperature=1")
    assert finished.exit_code == 2
    assert "text-classification has no setting 'temperature'; it has: top" in finished.stderr


@pytest.mark.parametrize("setting", ["top_p=2", "min_new_tokens=-1", "batch_size=x", 'chat_options={"items": 1}'])
def test_a_value_that_a_setting_can_not_have_is_called_wrongly(generate, setting):
    finished = generate("Hello", "--set", setting)
    assert finished.exit_code == 2 and setting.partition("=")[0] in finished.stderr


def test_loading_options_reach_loading(generate):
    assert "'float33' is no dtype that models compute in" in generate("Hello", "--dtype=float33").stderr
    assert "device" in generate("Hello", "--device=abacus").stderr
    assert "'flesh'" in generate("Hello", "--attention=flesh").stderr
    assert generate("Hello", "--dtype=bfloat16", "--device=cpu", "--attention=eager").exit_code == 0


def test_a_stream_is_the_same_text(generate):
    assert generate("Hello", "--stream").stdout == generate("Hello", "--no-stream").stdout


def test_a_task_without_stream_says_so(classify):
    finished = classify("Hello", "--stream")
    assert finished.exit_code == 2 and "--stream" in finished.stderr


def test_a_class_is_a_label_and_its_score(classify, classifier):
    best = zoo.pipeline("text-classification", classifier)("Hello")[0]
    assert classify("Hello").stdout == f"{best.label}\t{best.score:.4f}\n"
    lines = classify(stdin="Hello\nyou\n").stdout.splitlines()
    assert len(lines) == 2 and all(line.split("\t")[0] in ("bad", "fair", "good") for line in lines)


def test_more_classes_when_asked_for(classify):
    fields = classify("Hello", "--top=2").stdout.rstrip("\n").split("\t")
    assert len(fields) == 4 and float(fields[1]) >= float(fields[3])


def test_json_of_classes_has_all_of_them(classify):
    (only,) = objects(classify("Hello", "--json"))
    assert only["input"] == "Hello"
    assert {item["label"] for item in only["results"]} == {"bad", "fair", "good"}
    assert sum(item["score"] for item in only["results"]) == pytest.approx(1)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """The directory of a tiny backbone of images with random weights."""
    directory = tmp_path_factory.mktemp("backbone")
    sizes = {"embed_dim": 4, "depths": [1, 1], "num_heads": [1, 2], "window_size": 2, "image_size": 16}
    preprocessor = ImagePreprocessor.from_config({"image_processor_type": "ViTImageProcessor", "size": 16})
    zoo.save(zoo.create({"model_type": "swin", **sizes}, task=None, seed=1), directory, preprocessor=preprocessor)
    return directory


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """The names of two pictures in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name, colour in (("red.png", "red"), ("blue.png", "blue")):
        Image.new("RGB", (20, 10), colour).save(name)
    return ["red.png", "blue.png"]


@pytest.fixture
def extract(zoo_here, backbone):
    """Run image-feature-extraction with the tiny backbone."""
    return lambda *arguments: zoo_here("run", "image-feature-extraction", str(backbone), *arguments)


def test_results_in_rows_are_a_row_per_line_that_begins_with_its_input_where_there_are_several(extract, pictures):
    rows = "vector\t8\nmaps.0\t4 x 4 x 4\nmaps.1\t8 x 2 x 2\n"
    assert extract("red.png").stdout == rows
    lines = [f"{name}\t{row}\n" for name in pictures for row in rows.splitlines()]
    assert extract(*pictures).stdout == "".join(lines)


@pytest.mark.parametrize(
    "option", [["--pool", "mean"], ["--pool=mean"], ["--set", "pool=mean"], ["--batch-size", "1", "--pool", "mean"]]
)
def test_a_setting_of_the_pipeline_is_an_option_of_its_name(extract, pictures, option):
    assert extract("red.png", *option).stdout == extract(*option, "red.png").stdout == "vector\t8\n"


def test_a_setting_may_stand_before_the_task(zoo_here, backbone, pictures):
    finished = zoo_here("run", "--pool", "mean", "image-feature-extraction", str(backbone), "red.png")
    assert finished.stdout == "vector\t8\n"


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("image-feature-extraction", ["--pol", "mean"], "'--pool'"),
        ("image-feature-extraction", ["--pool"], "'--pool' requires an argument"),
        ("text-generation", ["--temprature", "1"], "Did you mean '--temperature'?"),
        ("text-generation", ["--out", "out.png"], "text-generation makes nothing that is written to files"),
        ("image-feature-extraction", ["--out", "out.png"], "out.png does not end in .npz"),
    ],
)
def test_an_option_that_a_task_does_not_have_is_called_wrongly_before_anything_is_loaded(
    zoo_here, task, arguments, message
):
    finished = zoo_here("run", task, "/no/such/model", "x.png", *arguments)
    assert finished.exit_code == 2 and message in finished.stderr and finished.stdout == ""


def test_what_follows_two_dashes_is_an_input(zoo_here, classifier):
    [only] = objects(zoo_here("run", "text-classification", str(classifier), "--json", "--", "--pool"))
    assert only["input"] == "--pool"


def test_results_are_written_and_said_where(extract, pictures, backbone):
    expected = zoo.pipeline("image-feature-extraction", backbone)(pictures)
    written = objects(extract(*pictures, "--out", "new/", "--json"))
    assert [each["out"] for each in written] == [os.path.join("new", name) for name in ("red.npz", "blue.npz")]
    for features, said in zip(expected, written, strict=True):
        assert said["vector"] == pytest.approx(features.vector.tolist())
        with np.load(said["out"]) as arrays:
            np.testing.assert_array_equal(arrays["maps.1"], features.maps[1])


@pytest.mark.parametrize("size", ["1", "8"])
def test_an_input_that_can_not_be_used_costs_the_others_nothing(extract, pictures, tmp_path, size):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    finished = extract("red.png", "broken.png", "blue.png", "--pool", "mean", "--batch-size", size)
    assert finished.exit_code == 1
    assert finished.stdout == "red.png\tvector\t8\nblue.png\tvector\t8\n"
    assert "broken.png" in finished.stderr and "1 of the inputs can't be used" in finished.stderr


def test_in_json_such_an_input_has_an_error(extract, pictures, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"")
    finished = extract("broken.png", "red.png", "--json", "--out", "out/")
    first, second = (json.loads(line) for line in finished.stdout.splitlines())
    assert finished.exit_code == 1 and set(first) == {"input", "error"} and "broken.png" in first["error"]
    assert second["input"] == "red.png" and (tmp_path / "out" / "red.npz").exists()


def test_nothing_is_computed_when_results_would_replace_an_input(extract, pictures):
    os.rename("red.png", "red.npz")
    finished = extract("red.npz", "--out", "red.npz")
    assert finished.exit_code == 2 and "red.npz is an input" in finished.stderr
    with Image.open("red.npz") as image:
        assert image.size == (20, 10)


def test_a_head_without_weights_is_refused(zoo_here, talker):
    finished = zoo_here("run", "text-classification", str(talker), "Hello")
    assert finished.exit_code == 1 and "no trained weights for the head" in finished.stderr


def test_a_tokenizer_that_is_missing_is_an_error(zoo_here, talker, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((talker / name).read_bytes())
    finished = zoo_here("run", "text-generation", str(tmp_path), "Hello")
    assert finished.exit_code == 1 and "tokenizer" in finished.stderr


def test_without_any_input_on_a_terminal_it_says_what_it_needs(terminal, talker):
    screen = terminal("run", "text-generation", str(talker))
    assert screen.exit_code() == 2
    assert "No input" in screen.screen


def test_on_a_terminal_the_text_follows_its_beginning(terminal, talker):
    screen = terminal("run", "text-generation", str(talker), "Once upon", "--max-new-tokens=5", NO_COLOR="1")
    assert screen.exit_code() == 0
    assert "Once upon" in screen.screen


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}])
def test_a_beginning_is_shown_without_what_a_terminal_would_act_on(terminal, talker, variables):
    screen = terminal("run", "text-generation", str(talker), "Once\x1b[2J upon", "--max-new-tokens=5", **variables)
    assert screen.exit_code() == 0
    assert "\x1b[2J" not in screen.screen


def test_ctrl_c_ends_it_with_the_exit_code_of_an_interrupt(terminal, talker):
    screen = terminal("run", "text-generation", str(talker), "Once upon", "--max-new-tokens=900000")
    screen.read_until("Once upon")
    screen.press_ctrl_c()
    assert screen.exit_code() == 130
    assert "Traceback" not in screen.screen
