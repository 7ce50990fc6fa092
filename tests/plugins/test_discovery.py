from __future__ import annotations

import importlib.metadata
import sys
import zipfile
from pathlib import Path

import pytest

from zoo.plugins.discovery import Distributions, EntryPoint, normalise

GROUP = "zoo.plugins"


def found(*directories):
    return Distributions([str(directory) for directory in directories]).entry_points(GROUP)


def test_an_entry_point_knows_its_distribution_version_and_place(fake_distribution):
    info = fake_distribution("zoo-swin", "2.1", entry_points={"swin": "zoo_swin._plugin"})
    assert found(info.parent) == (EntryPoint("zoo-swin", "2.1", "swin", "zoo_swin._plugin", str(info)),)
    assert found(info.parent)[0].full_name == "zoo-swin:swin"


@pytest.mark.parametrize("spelling", ["Zoo_Swin", "zoo.swin", "ZOO--swin", "zoo-swin"])
def test_names_are_compared_as_pip_compares_them(spelling):
    assert normalise(spelling) == "zoo-swin"


def test_other_groups_comments_and_extras_are_passed_over(fake_distribution):
    info = fake_distribution("zoo-swin", entry_points={})
    (info / "entry_points.txt").write_text(
        "[console_scripts]\nzoo.plugins = a:b\n\n# [zoo.plugins]\n[ zoo.plugins ]\n# no = no\n; no = no\n"
        "swin=zoo_swin:plugin [extra]\n[zoo.plugins.other]\nno = no\n"
    )
    assert [(each.name, each.target) for each in found(info.parent)] == [("swin", "zoo_swin:plugin")]


def test_the_first_on_the_path_hides_the_second(fake_distribution, tmp_path):
    first = fake_distribution("zoo-swin", "2.0", entry_points={"swin": "new"}, directory=tmp_path / "a").parent
    second = fake_distribution("Zoo_Swin", "1.0", entry_points={"swin": "old"}, directory=tmp_path / "b").parent
    assert [each.target for each in found(first, second)] == ["new"]
    assert [each.target for each in found(second, first)] == ["old"]


def test_a_distribution_without_plugins_hides_an_older_one_that_had_some(fake_distribution, tmp_path):
    first = fake_distribution("zoo-swin", "2.0", directory=tmp_path / "a").parent
    second = fake_distribution("zoo-swin", "1.0", entry_points={"swin": "old"}, directory=tmp_path / "b").parent
    assert found(first, second) == ()


def test_one_directory_twice_on_the_path_counts_once(fake_distribution, tmp_path):
    site = fake_distribution("zoo-swin", entry_points={"swin": "zoo_swin"}).parent
    (tmp_path / "link").symlink_to(site)
    assert len(found(site, tmp_path / "link", site)) == 1


def test_what_an_interrupted_upgrade_left_is_told_and_the_higher_version_wins(fake_distribution, caplog):
    site = fake_distribution("zoo-swin", "0.9.0", entry_points={"swin": "old"}).parent
    fake_distribution("zoo-swin", "0.10.0", entry_points={"swin": "new"})
    assert [(each.version, each.target) for each in found(site)] == [("0.10.0", "new")]
    assert "zoo-swin is installed more than once" in caplog.text
    assert f"Using {site / 'zoo_swin-0.10.0.dist-info'}, not {site / 'zoo_swin-0.9.0.dist-info'};" in caplog.text


def test_a_doubled_record_of_what_has_no_plugins_is_none_of_our_business(fake_distribution, caplog):
    site = fake_distribution("numpy", "1.0").parent
    fake_distribution("numpy", "2.0")
    assert found(site) == ()
    assert not caplog.text


def test_a_record_without_metadata_loses_against_a_whole_one(fake_distribution):
    site = fake_distribution("zoo-swin", "0.9", entry_points={"swin": "whole"}).parent
    broken = fake_distribution("zoo-swin", "1.0", entry_points={"swin": "broken"})
    (broken / "METADATA").unlink()
    assert [each.target for each in found(site)] == ["whole"]


def test_what_pip_was_about_to_delete_is_not_installed(fake_distribution):
    info = fake_distribution("zoo-swin", entry_points={"swin": "zoo_swin"})
    info.rename(info.with_name("~oo_swin-1.0.dist-info"))
    assert found(info.parent) == ()


def test_an_egg_info_has_its_version_inside(tmp_path):
    info = tmp_path / "zoo_swin.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: zoo-swin\nVersion: 3.0.dev1\n\nVersion: 9\n")
    (info / "entry_points.txt").write_text("[zoo.plugins]\nswin = zoo_swin\n")
    assert [(each.distribution, each.version) for each in found(tmp_path)] == [("zoo-swin", "3.0.dev1")]


def test_a_distribution_in_a_zip_archive_is_found(tmp_path):
    archive = tmp_path / "plugins.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zoo_swin-1.5.dist-info/METADATA", "Metadata-Version: 2.1\nName: zoo-swin\nVersion: 1.5\n")
        file.writestr("zoo_swin-1.5.dist-info/entry_points.txt", "[zoo.plugins]\nswin = zoo_swin\n")
    assert [(each.full_name, each.version) for each in found(archive)] == [("zoo-swin:swin", "1.5")]


def test_a_distribution_of_an_import_hook_is_found_and_a_broken_hook_breaks_nothing(fake_distribution, monkeypatch):
    info = fake_distribution("zoo-swin", "1.5", entry_points={"swin": "zoo_swin"})
    fake_distribution("zoo-vit", entry_points={"vit": "zoo_vit"})
    hidden = info.parent.parent / "hidden"
    hidden.mkdir()
    info = info.rename(hidden / info.name)

    class Broken:
        @staticmethod
        def find_spec(name, path=None, target=None):
            return None

        @staticmethod
        def find_distributions(context):
            raise RuntimeError("no")

    class Hook(Broken):
        @staticmethod
        def find_distributions(context):
            return [importlib.metadata.Distribution.at(str(info))]

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Broken(), Hook()])
    names = [each.full_name for each in Distributions().entry_points(GROUP)]
    assert {"zoo-swin:swin", "zoo-vit:vit"} <= set(names)


def test_odd_things_on_the_path_are_passed_over(fake_distribution, tmp_path):
    info = fake_distribution("zoo-swin", entry_points={"swin": "zoo_swin"})
    (tmp_path / "text").write_text("no archive")
    (info.parent / "old.egg-info").write_text("a file")
    (info.parent / "binary-1.dist-info").mkdir()
    (info.parent / "binary-1.dist-info" / "entry_points.txt").write_bytes(b"\xff\xfe[zoo.plugins\n")
    path = [str(tmp_path / "missing"), Path("/"), str(tmp_path / "text"), str(info.parent)]
    assert [each.full_name for each in Distributions(path).entry_points(GROUP)] == ["zoo-swin:swin"]


def test_the_distributions_of_this_environment_are_those_that_the_standard_library_finds():
    distributions = Distributions()
    for group in ("console_scripts", "pytest11", GROUP):
        expected = sorted(
            (normalise(each.dist.name), each.dist.version, each.name, each.value.partition("[")[0].strip())
            for each in importlib.metadata.entry_points(group=group)
        )
        assert [each[:4] for each in distributions.entry_points(group)] == expected
    assert distributions.version("PyTest") == importlib.metadata.version("pytest")
    assert distributions.version("no-such-thing") is None
