"""`syncd adapters`: what is installed."""

from syncd.console.main import main


def test_the_installed_adapters_are_listed_without_any_settings(capsys, monkeypatch):
    """Names, titles, what they can do, and where their API is documented."""
    monkeypatch.setenv("SYNCD_CONFIG", "/nowhere.toml")
    assert main(["adapters"]) == 0
    assert "https://developer.zendesk.com/" in capsys.readouterr().out


def test_the_list_is_an_array(syncd):
    """One object for each, by name; one that cannot be imported would carry its problem."""
    listed = {one["name"]: one for one in syncd("adapters", "--json").json}
    zendesk = listed["zendesk"]
    assert zendesk["title"] == "Zendesk Support"
    assert zendesk["capabilities"] == ["bulk_replies", "bulk_tickets", "change_feed"]
    assert zendesk["problem"] is None
    assert {"request_tracker", "in_memory"} <= set(listed)


def test_an_adapter_that_cannot_be_imported_hides_no_other(syncd):
    """A broken package of a third party is listed with what is wrong with it."""
    package = syncd.directory / "broken-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[syncd.adapters]\nbroken = no_such_module:Adapter\n")
    ran = syncd.process("adapters", "--json", PYTHONPATH=str(syncd.directory))
    listed = {one["name"]: one for one in ran.json}
    assert "cannot be imported" in listed["broken"]["problem"]
    assert listed["zendesk"]["problem"] is None
