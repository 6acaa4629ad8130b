from __future__ import annotations

import copy
import json
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeprep.errors import UsageError
from spikeprep.urls import RedactedURL, full_url, hide_secrets, local_path, redacted


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ftp://user:secret@host/x", "ftp://user:***@host/x"),
        ("ftp://user:sec/ret@host/x", "ftp://user:***@host/x"),
        ("ftp://user:sec@ret@host:21/x", "ftp://user:***@host:21/x"),
        ("ftp://user:se?cr#et@host/x", "ftp://user:***@host/x"),
        ("ftp://user:@host/x", "ftp://user:***@host/x"),
        ("s3://KEY:SECRET@bucket/x", "s3://***@bucket/x"),
        ("https://token@host/x", "https://***@host/x"),
        ("https://host/x?token=abc&b=2#access=7", "https://host/x?token=***&b=***#access=***"),
        ("https://host?sig", "https://host?***"),
        ("abfs://container@account/x?sig=%2Fa", "abfs://container@account/x?sig=***"),
        ("simplecache::ftp://user:secret@host/x", "simplecache::ftp://user:***@host/x"),
        ("zip://a.zip::ftp://user:a::b@host/x", "zip://a.zip::ftp://user:***@host/x"),
        ("--out=ftp://user:secret@host/x", "--out=ftp://user:***@host/x"),
    ],
)
def test_secrets_are_hidden(url, shown):
    path = redacted(url)
    assert path == shown
    assert full_url(path) == url
    assert redacted(path) is path
    for other in (copy.deepcopy(path), pickle.loads(pickle.dumps(path))):
        assert (other, full_url(other)) == (shown, url)
    assert json.dumps({"path": path}) == json.dumps({"path": shown})
    with pytest.raises(UsageError, match="are hidden"):
        full_url(shown)


@pytest.mark.parametrize(
    "path",
    ["a/b", "/a:b@c", "s3://bucket/x", "s3://bucket/a@b", "sftp://alice@host/x", "memory://x", "http://h:80/a@b",
     "http://[::1]/a@b", "abfs://container@account/x", "C:\\a", ""],
)  # fmt: skip
def test_what_has_no_secrets_stays(path):
    assert redacted(path) == path == full_url(path)
    assert not isinstance(redacted(path), RedactedURL)


# as a password stands in a URL: "@", "/" and "%" are quoted
passwords = st.text(
    st.characters(codec="ascii", exclude_characters="@/%?#", categories=("L", "N", "P", "S")), min_size=4
)


@given(passwords, st.sampled_from(["ftp", "sftp", "s3", "https", "smb"]))
def test_no_password_shows(password, scheme):
    url = f"{scheme}://user:{password}@host/x"
    shown = redacted(url)
    assert full_url(shown) == url
    assert shown in (f"{scheme}://user:***@host/x", f"{scheme}://***@host/x")


def test_messages_lose_their_secrets():
    url = "ftp://user:pa%2Fss%40word@host/x?sig=%2Fabc"
    message = f"cannot open {url}: pa%2Fss%40word, pa/ss@word, /abc, abc"
    assert (
        hide_secrets(message, url, "other") == "cannot open ftp://user:***@host/x?sig=***: ***, ***, ***, abc"
    )
    assert hide_secrets(message, redacted(url)) == hide_secrets(message, url)
    assert hide_secrets("user has no secret", "sftp://user@host/x") == "user has no secret"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///a/b", "/a/b"),
        ("file:///a b", "/a b"),
        ("file:///a%20b/%C3%A9", "/a b/é"),
        ("file:///a?b#c", "/a?b#c"),
        ("file://localhost/a", "/a"),
        ("FILE:///a", "/a"),
        ("file:/a", "/a"),
        ("local:///a", "/a"),
        ("a%20b", "a%20b"),
        ("file", "file"),
    ],
)
def test_local_paths(url, path):
    assert local_path(url) == Path(path)


def test_no_path_is_empty():
    with pytest.raises(UsageError, match="got an empty path"):
        local_path("")


def test_urls_of_other_schemes_are_no_local_paths():
    assert local_path("s3://bucket/x") is None
    assert local_path("simplecache::file:///x") is None


def test_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("USERPROFILE", "/home/me")
    assert local_path("~/x") == Path("/home/me/x")
    assert local_path("~") == Path("/home/me")
    assert local_path("a/~/x") == Path("a/~/x")


def test_windows_drives(monkeypatch):
    monkeypatch.setattr(os, "name", "nt")
    monkeypatch.setattr("spikeprep.urls.Path", str)  # pathlib has no Windows paths elsewhere
    for url in ("file:///C:/a%20b", "file:///C|/a%20b", "file://C:/a%20b"):
        assert local_path(url) == "C:\\a b"


@pytest.mark.parametrize("url", ["file://server/x", "local://x/y", "file://~/x"])
def test_files_of_other_hosts_are_refused(url):
    with pytest.raises(UsageError, match="names the host"):
        local_path(url)


@pytest.mark.parametrize("path", ["a\0b", "file:///a%00b"])
def test_null_characters_are_refused(path):
    with pytest.raises(UsageError, match="null character"):
        local_path(path)
