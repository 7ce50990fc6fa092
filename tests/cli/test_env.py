"""`zoo env`."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version

import zoo


def test_it_shows_versions_and_plugins(zoo_process):
    process = zoo_process("env", "--no-torch")
    assert process.returncode == 0 and process.stderr == ""
    lines = [line.split(maxsplit=1) for line in process.stdout.splitlines() if line]
    facts = {line[0]: line[1] for line in lines if len(line) == 2}
    assert facts["zoo"] == zoo.__version__
    assert facts["python"].startswith(platform.python_version())
    assert facts["torch"].startswith(version("torch")) or "not asked" in process.stdout
    assert f"torch            {version('torch')}" in process.stdout
    assert f"click            {version('click')}" in process.stdout
    assert "  zoo-sdk:builtin" in process.stdout


def test_without_torch_it_does_not_import_it(run_python):
    script = """
        import sys
        from zoo.cli import main
        assert main(["env", "--no-torch"]) == 0
        print([name for name in ("torch", "numpy", "transformers") if name in sys.modules])
    """
    assert run_python(script).stdout.splitlines()[-1] == "[]"


def test_json_has_the_same(zoo_process):
    facts = json.loads(zoo_process("env", "--no-torch", "--json").stdout)
    assert facts["zoo"] == zoo.__version__
    assert facts["packages"]["torch"] == version("torch")
    assert facts["torch"] is None
    assert facts["plugins_error"] is None
    assert facts["plugins"][0].keys() >= {"name", "version", "status", "api_version"}
    assert isinstance(facts["cpus"], int) and isinstance(facts["virtual_environment"], bool)


def test_torch_is_asked_for_its_devices(zoo_process):
    import torch

    facts = json.loads(zoo_process("env", "--json").stdout)["torch"]
    assert facts["error"] is None and facts["threads"] >= 1
    assert facts["cuda"] == torch.version.cuda
    assert (facts["devices"] == []) == (torch.accelerator.current_accelerator(check_available=True) is None)


def test_a_torch_that_can_not_be_imported_is_part_of_the_report(run_python):
    script = """
        import sys
        class Broken:
            def find_spec(self, name, path=None, target=None):
                if name == "torch":
                    raise OSError("libtorch.so: cannot open shared object file")
        sys.meta_path.insert(0, Broken())
        from zoo.cli import main
        sys.exit(main(["env"]))
    """
    process = run_python(script)
    assert process.returncode == 0, process.stderr
    assert "torch can't be imported: OSError: libtorch.so: cannot open shared object file" in process.stdout


def test_a_package_that_is_not_there_is_part_of_the_report(run_python):
    script = """
        import sys, importlib.metadata as metadata
        sys.modules["torch"] = None
        found = metadata.version
        def version(name):
            if name == "torch":
                raise metadata.PackageNotFoundError(name)
            return found(name)
        metadata.version = version
        from zoo.cli import main
        sys.exit(main(["env"]))
    """
    process = run_python(script)
    assert process.returncode == 0, process.stderr
    assert "torch            not installed" in process.stdout and "torch can't be imported" in process.stdout


def test_settings_are_shown_and_secrets_are_not(zoo_process):
    variables = {"HF_TOKEN": "hf_secret", "ZOO_TOKEN": "another", "ZOO_LOG": "info", "OMP_NUM_THREADS": "2"}
    output = zoo_process("env", "--no-torch", **variables).stdout
    assert "secret" not in output and "another" not in output
    assert "ZOO_LOG          info" in output and "OMP_NUM_THREADS  2" in output


def test_a_failed_plugin_is_part_of_the_report(zoo_process, fake_plugin):
    fake_plugin("zoo-bad", "1 / 0")
    output = zoo_process("env", "--no-torch", ZOO_LOG="error").stdout
    assert "zoo-bad:bad 1.0, failed" in output and "ZeroDivisionError" in output


def test_strict_mode_does_not_keep_it_from_reporting(run_python, fake_plugin):
    fake_plugin("zoo-bad", "1 / 0")
    script = (
        "from zoo.describe import describe_environment\nprint(describe_environment(with_torch=False)['plugins_error'])"
    )
    process = run_python(script, ZOO_STRICT="1")
    assert process.returncode == 0 and "ZeroDivisionError" in process.stdout
