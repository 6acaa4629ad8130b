import json

import pytest

from spikeprep.encoders.base import Chain
from spikeprep.errors import UsageError
from spikeprep.recipes import Recipe, known_recipe, load_recipe, recipe_names
from spikeprep.registry import SOURCES


def test_the_names():
    images = ["digits", "mnist", "fashion-mnist", "emnist-balanced", "images"]
    events = ["events", "nmnist", "tonic"]
    assert recipe_names() == sorted([*images, "audio", "fsdd", "speech-commands", "ti46", *events])


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_whole_and_survives_json(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.title
    assert recipe.train["arch"]
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    assert isinstance(recipe.build_chain(), Chain)
    assert isinstance(recipe.build_source(), SOURCES.get(recipe.source["name"]))
    if name != "digits":
        assert "--source" in recipe.obtain


def test_mnist_is_the_published_encoding():
    recipe = load_recipe("mnist")
    assert recipe.chain == [{"name": "poisson", "steps": 400, "rate_max": 1 / 5.5, "dt": 0.001}]
    assert (recipe.train["arch"], recipe.train["thresholds"]) == ("800", [20, 8])


def test_nmnist_is_the_published_encoding():
    recipe = load_recipe("nmnist")
    (encoder,) = recipe.build_chain().to_config()
    assert encoder == {"name": "dvs", "bin_us": 600, "bins": 0, "steps": 540, "closed": "right", "levels": 1}


def used(recipe):
    return [plugin["name"] for plugin in recipe.build_chain().to_config()]


def test_an_offered_transform_is_switched_on():
    recipe = load_recipe("nmnist")
    assert used(recipe.override({"stabilise_saccades.use": "true"})) == ["stabilise_saccades", "dvs"]
    both = recipe.override(
        {"event_downsample.factor": "2", "hot_pixels.rate_hz": "5.0"}
    )  # in the recipe's order
    assert used(both) == ["hot_pixels", "event_downsample", "dvs"]
    assert both.build_chain().transforms[0].rate_hz == 5
    kept_out = recipe.override({"event_downsample.factor": "2", "event_downsample.use": "false"})
    assert used(kept_out) == ["dvs"]
    assert used(recipe) == ["dvs"]
    assert recipe.settings()["stabilise_saccades.use"] is False
    assert both.settings()["event_downsample.use"] is True
    assert Recipe.from_json(json.loads(json.dumps(both.to_json()))) == both


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("event_downsample.factor", "0", "factor"),
        ("event_downsample.fator", "2", "Did you mean 'factor'"),
        ("stabilise_saccades.use", "yes", "true or false"),
        ("stabilise_saccades.usee", "true", "no setting"),
        ("downsample.factor", "2", "Did you mean 'event_downsample.factor'"),
    ],
)
def test_an_offered_transform_is_checked(setting, value, said):
    with pytest.raises(UsageError, match=said):
        load_recipe("nmnist").override({setting: value})


def test_a_data_set_of_tonics_is_named_after_its_recipe():
    recipe = load_recipe("tonic:DVSGesture")
    assert recipe.name == "tonic:DVSGesture"
    assert "DVSGesture" in recipe.title
    assert recipe.source["dataset"] == "DVSGesture"
    assert used(recipe) == ["dvs"]
    transforms = '[{name="Denoise", filter_time=10000}]'
    changed = recipe.override({"source.transforms": transforms, "tonic.size": "[64, 64]"}).build_source()
    assert changed.transforms == ({"name": "Denoise", "filter_time": 10000},)
    assert changed.size == (64, 64)
    assert known_recipe("tonic:DVSGesture")
    assert not known_recipe("mnist:DVSGesture")
    with pytest.raises(UsageError, match="unknown recipe 'toni:DVSGesture'"):
        load_recipe("toni:DVSGesture")


def test_override_reaches_every_field():
    recipe = load_recipe("images")
    changed = recipe.override(
        {
            "poisson.steps": "200",
            "poisson.rate_max": "0.5",
            "source.size": "[28, 28]",
            "source.mode": "rgb",
            "source.licence": '"CC0"',
            "train.arch": "100-100",
        }
    )
    assert changed.chain[0] == {"name": "poisson", "steps": 200, "rate_max": 0.5, "dt": 0.001}
    assert changed.source == {"name": "images", "size": [28, 28], "mode": "rgb", "licence": "CC0"}
    assert changed.train["arch"] == "100-100"
    assert recipe == load_recipe("images")  # the first one is as it was
    for name in recipe.settings():
        assert name.split(".")[0] in ("poisson", "source", "train")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("poisson.step", "Did you mean 'steps'"),
        ("poison.steps", r"Did you mean 'poisson\.steps'"),
        ("source.prefx", "Did you mean 'prefix'"),
        ("steps", r"Did you mean 'poisson\.steps'"),
        ("soruce.path", r"Did you mean 'source\.path'"),
    ],
)
def test_an_unknown_setting_has_its_near_miss(setting, said):
    with pytest.raises(UsageError, match=said):
        load_recipe("mnist").override({setting: "1"})


def test_a_value_that_does_not_fit():
    with pytest.raises(UsageError, match="steps 'many'"):
        load_recipe("mnist").override({"poisson.steps": "many"})


def test_unknown_recipe():
    with pytest.raises(UsageError, match="Did you mean 'mnist'"):
        load_recipe("mnits")
    with pytest.raises(UsageError, match=r"Known: audio, digits, .*TOML file"):
        load_recipe("qqqqqqqq")


TEXT = """
name = "mine"
title = "My digits"
citation = ""
[source]
name = "digits"
[[chain]]
name = "poisson"
steps = 9
"""


def test_a_file_of_ones_own(tmp_path):
    (tmp_path / "mine.toml").write_text(TEXT)
    recipe = load_recipe(tmp_path / "mine.toml")
    assert (recipe.name, recipe.chain[0]["steps"], recipe.train) == ("mine", 9, {})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "My digits"', 'tilte = "x"', "Did you mean 'title'"),
        ('title = "My digits"', "", "lacks title"),
        ('name = "poisson"', 'name = "poison"', "Did you mean 'poisson'"),
        ('name = "poisson"', "", "no name"),
        ('name = "digits"', 'name = "digit"', "Did you mean 'digits'"),
        ('name = "digits"', "", "no name"),
        ("steps = 9", "stesp = 9", "Did you mean 'steps'"),
        ("steps = 9", "steps = ", "not TOML"),
        ("[[chain]]", "[chain]", "chain"),
        ('[source]\nname = "digits"', 'source = "digits"', "source"),
        (
            '[[chain]]\nname = "poisson"\nsteps = 9',
            "chain = []",
            "transforms followed by exactly one encoder",
        ),
    ],
)
def test_a_file_that_is_wrong(tmp_path, old, new, said):
    assert old in TEXT
    text = TEXT.replace(old, new)
    if "chain = []" in text:
        text = "chain = []\n" + text.replace("chain = []", "")
    if 'source = "' in text:
        text = 'source = "digits"\n' + text.replace('source = "digits"', "")
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(UsageError, match=said):
        load_recipe(tmp_path / "mine.toml")


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not TOML"):
        load_recipe(tmp_path / "mine.toml")


def test_a_source_that_needs_no_path():
    with pytest.raises(UsageError, match="Leave --source out"):
        load_recipe("digits").build_source("/tmp")
