"""A measured profile stays beside the bundle, and the report shows it."""

import json

import pytest

from edgekit.bundle.profile import keep_profile, read_profiles, show_in_report
from edgekit.errors import EdgekitError

PAGE = "<main><h1>report</h1><footer>edgekit</footer></main>"


def document(device, sha256="a"):
    return {"device": device, "sha256": sha256, "operators": []}


def test_profiles_of_several_devices_are_kept(tmp_path):
    keep_profile(tmp_path, document("emulated:pi4"))
    assert list(keep_profile(tmp_path, document("emulated:pi3"))) == ["emulated:pi3", "emulated:pi4"]
    assert read_profiles(tmp_path) == json.loads((tmp_path / "profile.json").read_text())


def test_those_of_another_file_are_forgotten(tmp_path):
    keep_profile(tmp_path, document("emulated:pi4"))
    assert list(keep_profile(tmp_path, document("emulated:pi3", "b"))) == ["emulated:pi3"]


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"x": 1}'])
def test_a_file_that_is_no_profile_is_written_anew(tmp_path, text):
    (tmp_path / "profile.json").write_text(text)
    assert list(keep_profile(tmp_path, document("emulated:pi4"))) == ["emulated:pi4"]


def test_the_report_shows_the_newest_section_once(tmp_path):
    (tmp_path / "report.html").write_text(PAGE)
    for text in ("<section>old \\1</section>", "<section>new</section>"):
        show_in_report(tmp_path, text)
    page = (tmp_path / "report.html").read_text()
    assert page.count("<section>") == 1
    assert "new</section><!--/profile--><footer>" in page
    show_in_report(tmp_path / "nowhere", "section")  # a bundle without a report has none


def test_a_folder_that_is_gone_is_told(tmp_path):
    with pytest.raises(EdgekitError, match="EK702 the profile cannot be kept"):
        keep_profile(tmp_path / "gone", document("emulated:pi4"))
