"""`zoo info`."""

from __future__ import annotations

import json
import shutil

import pytest

TASK = """
@hookimpl
def zoo_tasks():
    return [TaskSpec(name="image-colouring", inputs="an image", outputs="colours", default_heads={"map": "colourist"})]

@hookimpl
def zoo_heads():
    needs = FeatureRequirement(kind="map", modality="image", strides=(4, 8))
    return [HeadSpec(name="colourist", task="image-colouring", head="a:B", config="a:C", requires=needs)]
"""

BROKEN = """
@hookimpl
def zoo_architectures():
    spec = dict(modality="image", default_task="text-generation", preprocessor="p", model="a:B")
    return [ArchitectureSpec(name="swin", config="zoo_swin.nothing:Config", **spec)]
"""


@pytest.fixture
def info(zoo_process):
    """The JSON of `zoo info`."""

    def run(*arguments):
        process = zoo_process("info", *arguments, "--json")
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout)

    return run


def test_an_architecture(info):
    llama = info("llama")
    assert (llama["kind"], llama["full_name"]) == ("architecture", "zoo-llama:llama")
    assert [feature["kind"] for feature in llama["features"]] == ["tokens"]
    tasks = {task["name"]: task for task in llama["tasks"]}
    assert tasks["text-generation"]["composes"] and tasks["text-generation"]["heads"][0] == "causal-lm"
    assert llama["default_preset"] in [preset["name"] for preset in llama["presets"]]
    assert {"name": "hidden_size", "type": "int", "default": "4096"} in llama["config"]
    assert any(layout["class_name"] == "LlamaForCausalLM" and layout["writable"] for layout in llama["layouts"])


def test_a_task_that_does_not_fit_says_why(info, fake_plugin):
    fake_plugin("zoo-colour", TASK)
    task = next(task for task in info("llama")["tasks"] if task["name"] == "image-colouring")
    assert not task["composes"] and task["heads"] == []
    assert "image-colouring" in task["reason"] and "text tokens" in task["reason"]


def test_a_configuration_that_can_not_be_imported_is_told_with_the_rest(info, fake_plugin):
    fake_plugin("zoo-swin", BROKEN)
    swin = info("swin")
    assert swin["modality"] == "image" and swin["tasks"] == []
    assert "zoo_swin.nothing" in swin["config_error"]


def test_a_task_and_its_heads(info, fake_plugin):
    fake_plugin("zoo-colour", TASK)
    task = info("image-colouring")
    assert (task["kind"], task["inputs"], task["outputs"]) == ("task", "an image", "colours")
    requires = task["heads"][0]["requires"]
    assert (requires["kind"], requires["modality"], requires["strides"]) == ("map", "image", [4, 8])


def test_a_preset_says_where_it_can_be_had(info):
    preset = info("smollm2-135m-instruct")
    assert preset["kind"] == "preset" and preset["architecture"] == "llama"
    assert all((source["path"] is None) != (source["reason"] is None) for source in preset["sources"])
    assert preset["config"]["hidden_size"] == 576


@pytest.mark.parametrize(
    ("name", "kind"),
    [("gguf", "checkpoint format"), ("sdpa", "attention backend"), ("text", "preprocessor"), ("run", "command")],
)
def test_anything_with_a_name(info, name, kind):
    assert info(name)["kind"] == kind


def test_a_full_name(info):
    assert info("zoo-llama:llama")["name"] == "llama"


def test_of_a_name_that_several_kinds_have_the_others_are_told(info):
    assert (info("causal-lm")["kind"], info("causal-lm")["also"]) == ("head", ["tasks"])
    assert info("--kind", "task", "causal-lm")["name"] == "text-generation"


@pytest.mark.parametrize("name", ["lama", "smollm2", "text-generaton"])
def test_an_unknown_name_gets_suggestions_of_any_kind(zoo_process, name):
    process = zoo_process("info", name)
    assert process.returncode == 1 and "Did you mean" in process.stderr


def test_a_name_that_two_plugins_claim_is_an_error(zoo_process, fake_plugin):
    fake_plugin("zoo-other", BROKEN.replace("swin", "llama"))
    process = zoo_process("info", "llama")
    assert process.returncode == 1 and "'zoo-llama:llama'" in process.stderr
    assert zoo_process("info", "zoo-llama:llama").returncode == 0


def test_a_directory(info, talker):
    found = info(str(talker))
    assert (found["kind"], found["format"]) == ("checkpoint", "safetensors")
    assert (found["architecture"], found["layout"]) == ("zoo-llama:llama", "zoo-llama:llama-causal-lm")
    assert (found["task"], found["head"]) == ("text-generation", "zoo-sdk:causal-lm")
    size = (talker / "model.safetensors").stat().st_size
    assert found["files"] == [{"name": "model.safetensors", "size_bytes": size}] and found["size_bytes"] == size
    assert found["dtypes"] == [
        {
            "dtype": "F32",
            "tensors": found["tensors"],
            "elements": found["parameters"],
            "bytes": 4 * found["parameters"],
            "encoded": False,
        }
    ]
    assert found["memory"] == {"mapped_bytes": 4 * found["parameters"], "decoded_bytes": 0}
    assert (found["context_length"], found["tokenizer"], found["chat_template"]) == (1_000_000, "tokenizer.json", True)
    assert "tokenizer_config.json" in found["other_files"]
    assert found["config"]["hidden_size"] == 16


def test_a_model_and_the_parameters_it_has(info, talker):
    import zoo

    model, _ = zoo.load(talker)
    assert info(str(talker))["parameters"] == sum(parameter.numel() for parameter in model.parameters())


def test_a_name_comes_before_a_directory_of_that_name(zoo_process, environment, talker, tmp_path, monkeypatch):
    shutil.copytree(talker, tmp_path / "here" / "llama")
    shutil.copytree(talker, tmp_path / "here" / "mine")
    monkeypatch.chdir(tmp_path / "here")
    kinds = {name: zoo_process("info", name).stdout.splitlines()[0] for name in ("llama", "./llama", "mine")}
    assert kinds == {"llama": "kind\tarchitecture", "./llama": "kind\tcheckpoint", "mine": "kind\tcheckpoint"}


def test_a_directory_imports_nothing_heavy(run_python, talker):
    script = f"""
        import sys
        from zoo.cli import main
        assert main(["info", {str(talker)!r}]) == 0
        heavy = ["torch", "numpy", "transformers", "rich", "tokenizers", "jinja2", "email"]
        print([name for name in heavy if name in sys.modules])
    """
    process = run_python(script)
    assert process.stdout.splitlines()[-1] == "[]", process.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: (path / "config.json").unlink(), "there is no config.json"),
        (lambda path: (path / "config.json").write_text("{"), "config.json"),
        (lambda path: (path / "model.safetensors").write_bytes(b"\1\2"), "model.safetensors"),
    ],
)
def test_a_broken_directory_is_an_error_that_names_the_file(zoo_process, talker, tmp_path, change, message):
    path = tmp_path / "broken"
    shutil.copytree(talker, path)
    change(path)
    process = zoo_process("info", str(path))
    assert process.returncode == 1 and message in process.stderr and "Traceback" not in process.stderr


def test_in_a_pipe_a_table_has_its_key_before_each_row(zoo_process):
    lines = [line.split("\t") for line in zoo_process("info", "llama").stdout.splitlines()]
    assert ["kind", "architecture"] in lines and ["name", "llama"] in lines
    assert ["config", "hidden_size", "int", "4096"] in lines
    assert ["tasks", "text-generation", "yes", "causal-lm", "1", "-"] in lines


def test_on_a_terminal_there_are_titles(terminal):
    screen = terminal("info", "llama", COLUMNS="100")
    assert screen.exit_code() == 0
    assert "llama: architecture of zoo-llama" in screen.screen
    assert "\x1b[1mTasks\x1b[0m" in screen.screen and "\x1b[1mConfig\x1b[0m" in screen.screen


def test_a_head_that_is_content_with_several_features_says_which(zoo_process):
    process = zoo_process("info", "image-classification")
    assert process.returncode == 0, process.stderr
    assert "image-classifier\timage vector or image map or image tokens" in process.stdout
