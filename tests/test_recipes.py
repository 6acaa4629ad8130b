import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeprep.api.training import run_settings
from spikeprep.config import leaves
from spikeprep.data import Sample
from spikeprep.encoders.base import Chain
from spikeprep.errors import DataError, UsageError
from spikeprep.recipes import Recipe, find_recipe, known_recipe, load_recipe, parse_value, recipe_names
from spikeprep.recipes.toml import toml_lines
from spikeprep.registry import ENCODERS, SOURCES, TRANSFORMS, register
from spikeprep.sources.base import Source
from spikeprep.train.settings import TrainSettings


def test_recipe_names():
    mnist = ["mnist", "mnist-800", "mnist-cnn", "mnist-cnn-elastic", "mnist-elastic"]
    images = ["digits", *mnist, "fashion-mnist", "emnist-balanced", "images"]
    events = ["cifar10-dvs", "dvs-gesture", "events", "n-cars", "nmnist", "shd", "spikes", "ssc", "tonic"]
    videos = ["mnist-events", "video"]
    series = ["basic-motions", "japanese-vowels", "series"]
    papers = [
        *(f"paper-{name}" for name in ("mnist-800", "nmnist-800", "emnist-800", "emnist-200-200")),
        *(f"paper-{name}" for name in ("ti46-800", "ti46-400-400", "ti46-800-800", "lee2016-mnist")),
        "paper-lee2016-nmnist", "paper-mnist-cnn", "paper-mnist-cnn-elastic",
    ]  # fmt: skip
    sounds = ["audio", "fsdd", "speech-commands", "speech2spikes", "ti46"]
    assert recipe_names() == sorted([*images, *sounds, *series, *events, *videos, *papers])


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_complete_and_survives_json(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.title
    assert recipe.train["arch"]
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    assert isinstance(recipe.build_chain(), Chain)
    assert isinstance(recipe.build_source(), SOURCES.get(recipe.source["name"]))
    if name != "digits":
        assert "source=" in recipe.obtain


def test_mnist_is_the_published_encoding():
    recipe = load_recipe("mnist")
    chain = [{"name": "poisson", "steps": 400, "rate_max": 1 / 5.5, "dt": 0.001}]
    assert recipe.build_chain().to_config() == chain
    assert (recipe.train["arch"], recipe.train["thresholds"]) == ("800", [20, 8])


@pytest.mark.parametrize("name", ["mnist-800", "paper-mnist-800"])
def test_recipes_of_mnist_share_its_store(name):
    """`train STORE --recipe NAME` is for a store of `mnist`."""
    assert load_recipe(name).build_chain() == load_recipe("mnist").build_chain()
    assert load_recipe(name).source == load_recipe("mnist").source
    assert load_recipe(name).obtain == load_recipe("mnist").obtain


@pytest.mark.parametrize("name", recipe_names())
def test_suggested_settings_are_settings(name):
    assert TrainSettings().override(load_recipe(name).train)


def test_nmnist_is_the_published_encoding():
    recipe = load_recipe("nmnist")
    (encoder,) = recipe.build_chain().to_config()
    assert encoder == {"name": "dvs", "bin_us": 600, "bins": 0, "steps": 540, "closed": "right", "levels": 1}


def used(recipe):
    return [plugin["name"] for plugin in recipe.build_chain().to_config()]


def test_an_offered_transform_is_used_once_set():
    recipe = load_recipe("nmnist")
    assert used(recipe.override({"stabilise_saccades.use": "true"})) == ["stabilise_saccades", "dvs"]
    both = recipe.override(
        {"event_downsample.factor": "2", "hot_pixels.rate_hz": "5.0"}
    )  # in the recipe's order
    assert used(both) == ["hot_pixels", "event_downsample", "dvs"]
    assert both.build_chain().transforms[0].rate_hz == 5
    left_out = recipe.override({"event_downsample.factor": "2", "event_downsample.use": "false"})
    assert used(left_out) == ["dvs"]
    assert used(recipe) == ["dvs"]
    assert recipe.settings()["stabilise_saccades.use"] is False
    assert both.settings()["event_downsample.use"] is True
    assert Recipe.from_json(json.loads(json.dumps(both.to_json()))) == both


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("event_downsample.factor", "0", "factor"),
        ("event_downsample.fator", "2", "Did you mean 'factor'"),
        ("stabilise_saccades.use", "yes", "true or false"),
        ("stabilise_saccades.usee", "true", "no setting"),
        ("downsample.factor", "2", "Did you mean 'event_downsample.factor'"),
    ],
)
def test_an_offered_transform_is_checked(setting, value, words):
    with pytest.raises(UsageError, match=words):
        load_recipe("nmnist").override({setting: value})


def test_a_data_set_of_tonic_is_a_recipe():
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
    assert changed.chain[-1] == {"name": "poisson", "steps": 200, "rate_max": 0.5, "dt": 0.001}
    assert changed.source == {"name": "images", "size": [28, 28], "mode": "rgb", "licence": "CC0"}
    assert changed.train["arch"] == "100-100"
    assert recipe == load_recipe("images")  # the first one is unchanged
    for name in recipe.settings():
        assert name.split(".")[0] in {*(step["name"] for step in recipe.chain), "source", "train", "copies"}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("poisson.step", "Did you mean 'steps'"),
        ("poison.steps", r"Did you mean 'poisson\.steps'"),
        ("source.prefx", "Did you mean 'prefix'"),
        ("steps", r"Did you mean 'poisson\.steps'"),
        ("soruce.path", r"Did you mean 'source\.path'"),
    ],
)
def test_an_unknown_setting_names_the_nearest(setting, words):
    with pytest.raises(UsageError, match=words):
        load_recipe("mnist").override({setting: "1"})


def test_a_value_that_is_not_allowed():
    with pytest.raises(UsageError, match="steps = 'many'"):
        load_recipe("mnist").override({"poisson.steps": "many"})


def test_unknown_recipe():
    with pytest.raises(UsageError, match="Did you mean 'mnist'"):
        load_recipe("mnits")
    with pytest.raises(UsageError, match=r"Known: audio, basic-motions, cifar10-dvs, .*TOML file"):
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


def test_a_recipe_file(tmp_path):
    (tmp_path / "mine.toml").write_text(TEXT)
    recipe = load_recipe(tmp_path / "mine.toml")
    assert (recipe.name, recipe.chain[0]["steps"], recipe.train) == ("mine", 9, {})


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('title = "My digits"', 'tilte = "x"', "Did you mean 'title'"),
        ('title = "My digits"', "", "lacks the setting 'title'"),
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
def test_a_recipe_file_that_is_wrong(tmp_path, old, new, words):
    assert old in TEXT
    text = TEXT.replace(old, new)
    if "chain = []" in text:
        text = "chain = []\n" + text.replace("chain = []", "")
    if 'source = "' in text:
        text = 'source = "digits"\n' + text.replace('source = "digits"', "")
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(UsageError, match=words):
        load_recipe(tmp_path / "mine.toml")


def test_a_recipe_file_that_is_not_text(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not TOML"):
        load_recipe(tmp_path / "mine.toml")


def test_a_source_that_needs_no_path():
    with pytest.raises(UsageError, match="Leave the source path out"):
        load_recipe("digits").build_source("/tmp")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "mine"', "name = 3", "recipe.name = 3; expected text"),
        ('name = "poisson"', "name = 3", "entry has name = 3; expected a text"),
        ('name = "poisson"', 'name = ["poisson"]', "expected a text"),
        ('name = "digits"', "name = true", r"\[source\] has name = True"),
        ("steps = 9", "steps = 2020-01-01", "poisson.steps = .*2020, 1, 1.*; expected a whole number"),
        ("steps = 9", 'steps = "many"', "poisson.steps = 'many'"),
        ("steps = 9", 'use = "no"', "poisson.use = 'no'; expected true or false"),
        ("steps = 9", "steps = 9\n[train]\nrate = nan", r"got recipe\.train\.rate = nan; expected finite"),
        ("steps = 9", "dt = inf", r"got recipe\.chain\[0\]\.dt = inf; expected finite"),
        ("steps = 9", "steps = 9\n[train]\nday = 2020-01-01", "is not JSON"),
        ('citation = ""', 'citation = ""\ntrain = 3', "recipe.train = 3; expected settings by name"),
        ('citation = ""', 'citation = ""\nobtain = ["x"]', "recipe.obtain"),
        ("steps = 9", "use = false", "transforms followed by exactly one encoder"),
    ],
)
def test_a_value_of_the_wrong_type_names_the_file_and_the_key(tmp_path, old, new, words):
    assert old in TEXT
    (tmp_path / "mine.toml").write_text(TEXT.replace(old, new))
    with pytest.raises(UsageError, match=words) as caught:
        load_recipe(tmp_path / "mine.toml")
    assert "mine.toml" in str(caught.value)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("elastic.sigma", "elastic.sigma"),
        ("poisson.dt", "poisson.dt"),
        ("copies", "recipe.copies"),
        ("train.optim.rate", "recipe.train.optim.rate"),
    ],
)
def test_a_number_that_is_not_finite_is_named_by_its_setting(setting, named, number):
    with pytest.raises(UsageError, match=rf"^got {named} = {number}; expected .*number"):
        load_recipe("mnist").override({setting: number})


def test_settings_of_nested_tables():
    recipe = load_recipe("tonic:NMNIST").override({"source.options.first_saccade_only": True})
    assert recipe.build_source().options == {"first_saccade_only": True}
    changed = load_recipe("digits").override({"train.loss.target": "30", "train.optim.rate": 0.5})
    assert changed.train["loss"] == {"target": 30, "off_target": 3, "margin": 3}
    assert changed.settings()["train.loss.target"] == 30
    assert load_recipe("digits").train["loss"]["target"] == 20


def test_a_step_that_occurs_twice_cannot_be_named():
    value = load_recipe("nmnist").to_json()
    value["chain"].insert(0, dict(value["chain"][0]))
    with pytest.raises(UsageError, match=r"several steps 'event_crop'.*TOML file"):
        Recipe.from_json(value).override({"event_crop.x": "1"})


# ---------------------------------------------------------------- another encoder


def test_another_encoder_has_its_defaults_and_the_transforms_stay():
    recipe = load_recipe("fsdd").with_encoder("poisson")
    before = load_recipe("fsdd").chain
    assert recipe.chain == [*before[:-1], {"name": "poisson"}]
    assert [step["name"] for step in recipe.chain if step.get("use", True)] == ["lyon", "poisson"]
    assert recipe.source == load_recipe("fsdd").source
    assert recipe.train == load_recipe("fsdd").train
    assert recipe.title.endswith("; with the encoder poisson instead of bsa")
    assert recipe.override({"poisson.steps": "7"}).build_chain().encoder.steps == 7
    offered = load_recipe("nmnist").with_encoder("poisson")
    assert used(offered) == ["poisson"]
    assert offered.chain[:-1] == load_recipe("nmnist").chain[:-1]


def test_the_recipes_own_encoder_changes_nothing():
    assert load_recipe("mnist").with_encoder("poisson") == load_recipe("mnist")


def test_names_that_are_not_encoders():
    with pytest.raises(UsageError, match="Did you mean 'poisson'"):
        load_recipe("mnist").with_encoder("poison")
    with pytest.raises(UsageError, match="'lyon', which is a transform; expected an encoder"):
        load_recipe("mnist").with_encoder("lyon")


def test_a_setting_of_another_encoder_is_named():
    recipe = load_recipe("mnist").with_encoder("bsa")
    with pytest.raises(
        UsageError, match=r"'poisson\.steps': its chain has no poisson.*choose the encoder poisson"
    ):
        recipe.override({"poisson.steps": "200"})
    with pytest.raises(UsageError, match=r"its chain has no lyon; expected a setting of .*poisson\. Leave"):
        load_recipe("mnist").override({"lyon.decimation": "200"})


# ---------------------------------------------------------------- another front end


@pytest.mark.parametrize("name", ["audio", "fsdd", "speech-commands", "ti46"])
@pytest.mark.parametrize("front_end", ["butterworth", "gammatone", "mel"])
def test_another_front_end_has_its_defaults_and_the_other_steps_stay(name, front_end):
    recipe = load_recipe(name)
    other = recipe.with_front_end(front_end)
    chain, own = other.build_chain(), recipe.build_chain()
    assert chain.transforms == (TRANSFORMS.get(front_end)(),)
    assert chain.encoder == replace(own.encoder, scale=1.0)  # 2000 for Lyon's values of about 1 / 2000
    assert (other.source, other.train, other.front_end) == (recipe.source, recipe.train, front_end)
    assert other.title.endswith(f"; with the front end {front_end} instead of lyon")
    assert other.with_front_end("lyon").build_chain().encoder == own.encoder
    assert recipe.with_front_end("lyon") is recipe
    assert (
        recipe.with_encoder("delta").with_front_end(front_end).build_chain().encoder
        == ENCODERS.get("delta")()
    )


def test_front_ends_that_cannot_be():
    recipe = load_recipe("fsdd")
    with pytest.raises(UsageError, match=r"'gamma'; expected one of butterworth, gammatone, lyon, mel\."):
        recipe.with_front_end("gamma")
    with pytest.raises(UsageError, match=r"got the front end 'bsa'"):
        recipe.with_front_end("bsa")
    with pytest.raises(UsageError, match=r"recipe mnist has none to replace"):
        load_recipe("mnist").with_front_end("mel")
    assert load_recipe("mnist").front_end is None


# ---------------------------------------------------------------- TOML


@pytest.mark.parametrize("name", [*recipe_names(), "tonic:DVSGesture"])
def test_a_recipe_survives_toml(tmp_path, name):
    recipe = load_recipe(name)
    (tmp_path / "a.toml").write_text(recipe.to_toml())
    assert load_recipe(tmp_path / "a.toml") == recipe


@pytest.mark.parametrize("name", recipe_names())
def test_every_setting_is_in_the_toml_and_its_default_is_allowed(tmp_path, name):
    recipe = load_recipe(name)
    lines = recipe.to_toml().splitlines()
    plain = [
        line.removeprefix("# ").partition("  # ")[0] if line.startswith("# ") else line for line in lines
    ]
    (tmp_path / "a.toml").write_text("\n".join(plain))
    complete = load_recipe(tmp_path / "a.toml")
    assert complete.build_source() == recipe.build_source()
    assert complete.build_chain() == recipe.build_chain()
    settings = {key for config in (complete.source, *complete.chain) for key in config}
    names = [key for key in recipe.settings() if not key.startswith("train.") and key != "copies"]
    assert settings >= {key.split(".", 1)[1] for key in names}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[s1, s7]", ["s1", "s7"]),
        ("[user01,2,-3,007]", ["user01", 2, -3, "007"]),
        ("[theo]", ["theo"]),
        ("[1, 2]", [1, 2]),
        ("[0.1,x,-2.50,1.2.3]", [0.1, "x", -2.5, "1.2.3"]),
        ("[a,,b]", "[a,,b]"),
        ("[]", []),
        ("[a'b]", "[a'b]"),
        ("[[a]]", "[[a]]"),
        ("[a=1]", "[a=1]"),
    ],
)
def test_lists_of_texts_need_no_quotes(text, value):
    assert parse_value(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (".5", 0.5),
        ("5.", 5.0),
        ("-.5", -0.5),
        (" 1.e-3", 0.001),
        ("[.5, 5., 2, 1e-3, -3]", [0.5, 5.0, 2, 0.001, -3]),
        ("[.5, 1.,]", [0.5, 1.0]),
        ("[s1,s7,]", ["s1", "s7"]),
        ("[1e3, .5, x]", ["1e3", ".5", "x"]),
        ("0,5", "0,5"),
        ("05.", "05."),
        (".", "."),
        ("5.5.", "5.5."),
    ],
)
def test_numbers_need_no_digit_on_both_sides_of_the_point(text, value):
    parsed = parse_value(text)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize("setting", ["poisson.steps", "poisson.dt"])
def test_a_number_with_a_comma_is_explained(setting):
    with pytest.raises(
        UsageError, match=r"= '0,5'; expected a .*number.* without commas, such as 0\.5 or 1000"
    ):
        load_recipe("digits").override({setting: "0,5"})
    with pytest.raises(UsageError) as caught:
        load_recipe("digits").override({setting: "half"})
    assert caught.value.hint == ""


def test_changes_survive_toml(tmp_path):
    changes = {
        "source.options.camera": '"DVS\\u00e9"',
        "source.format": "aedat2",
        "train.thresholds": "[1.5, 20]",
    }
    changes["source.options.camera"] = "DAVIS346"
    recipe = load_recipe("events").override(changes)
    (tmp_path / "a.toml").write_text(recipe.to_toml())
    assert load_recipe(tmp_path / "a.toml") == recipe


PLAIN = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(table=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), PLAIN, max_size=4))
def test_plain_data_survives_toml(table):
    assert tomllib.loads("\n".join(toml_lines(table))) == table


# ---------------------------------------------------------------- plugins of the user


@pytest.fixture
def ramp():
    """A source registered as in a notebook, for one test."""

    @dataclass(frozen=True)
    class Ramp(Source):
        """Images of one grey level."""

        name: ClassVar[str] = "ramp"
        level: float = 0.5

        @property
        def classes(self) -> tuple[str, ...]:
            return ("grey",)

        def splits(self) -> Mapping[str, int]:
            return {"train": 3}

        def read(self, split: str, index: int) -> Sample:
            return Sample(np.full((2, 2), self.level), 0, str(index))

        def provenance(self) -> dict[str, Any]:
            return {"licence": "", "sha256": "0" * 64}

    register(Ramp)
    yield Ramp
    SOURCES._registered.pop("ramp")


def test_a_registered_source_is_used_by_name(ramp, tmp_path):
    text = TEXT.replace('name = "digits"', 'name = "ramp"\nlevel = 0.25')
    (tmp_path / "a.toml").write_text(text)
    recipe = load_recipe(tmp_path / "a.toml")
    assert recipe.build_source() == ramp(0.25)
    assert recipe.open_source(limit=2).splits() == {"train": 2}
    assert recipe.override({"ramp.level": "0.75"}).open_source().read("train", 1).signal[0, 0] == 0.75
    with pytest.raises(UsageError, match="needs no raw data"):
        recipe.open_source(tmp_path)


def test_raw_data_that_do_not_exist(tmp_path):
    with pytest.raises(
        DataError, match=r"no source is given.*mnist has no raw data.*70 000 handwritten digits"
    ):
        load_recipe("mnist").open_source()
    with pytest.raises(DataError, match=r"nowhere does not exist"):
        load_recipe("mnist").open_source(tmp_path / "nowhere")


def test_a_limit_of_nothing_is_refused():
    with pytest.raises(UsageError, match="= 0; expected a whole number at least 1"):
        load_recipe("digits").open_source(limit=0)


def test_a_store_without_a_recipe(monkeypatch, tmp_path):
    class Opened:
        attributes: ClassVar[dict[str, Any]] = {"recipe": "", "source": {}}

    monkeypatch.setattr("spikeprep.recipes.load.SpikeStore.open", lambda *a, **k: Opened)
    with pytest.raises(UsageError, match="was not encoded with a recipe"):
        find_recipe(tmp_path)


def test_a_folder_named_like_a_recipe_does_not_hide_it(tmp_path, monkeypatch):
    (tmp_path / "ti46").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_recipe("ti46").name == "ti46"


PAPERS = [name for name in recipe_names() if name.startswith("paper-")]


@pytest.mark.parametrize("name", PAPERS)
def test_a_published_run_is_a_recipe_on_the_base_of_its_data(name, tmp_path):
    recipe = load_recipe(name)
    data = name.split("-")[2 if "lee2016" in name else 1]
    base = load_recipe({"emnist": "emnist-balanced"}.get(data, data))
    assert (recipe.source, recipe.obtain) == (base.source, base.obtain)
    if name == "paper-mnist-cnn-elastic":
        assert recipe.chain[1:] == base.chain[-1:]
    elif name != "paper-lee2016-mnist":  # which has samples of 50 ms
        assert recipe.chain == base.chain
    assert recipe.published
    settings = run_settings(leaves(recipe.train), {})
    assert settings.rule.name == recipe.train.get("rule", "hm2bp")
    (tmp_path / "mine.toml").write_text(recipe.to_toml(), encoding="utf-8")
    assert load_recipe(tmp_path / "mine.toml").published == recipe.published


def test_mnist_as_published():
    settings = run_settings(leaves(load_recipe("paper-mnist-800").train), {})
    assert (settings.rule.thresholds, settings.epochs, settings.batch) == ((20, 8), 100, 1)
    assert (settings.optim.rate, settings.optim.schedule) == (0.001, "inverse-sqrt")
    assert settings.rule.gain_floor is None
    assert settings.rule.loss.lateral_limit is None


@pytest.mark.parametrize("base", ["mnits", "mine.toml", 3, ["mnist"]])
def test_a_base_comes_with_the_package(base, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(f'name = "mine"\ntitle = "t"\nbase = {json.dumps(base)}\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"has base = .*a recipe that comes with spikeprep"):
        load_recipe(path)


def test_a_recipe_of_ones_own_on_a_base(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ntitle = "t"\nbase = "mnist"\n[train]\narch = "100"\n', encoding="utf-8")
    mine, mnist = load_recipe(path), load_recipe("mnist")
    assert (mine.source, mine.chain, mine.citation) == (mnist.source, mnist.chain, mnist.citation)
    assert (mine.train, mine.published) == ({"arch": "100"}, "")


def test_another_rule_takes_no_suggestion_of_the_recipe_s_rule():
    settings = run_settings(leaves(load_recipe("nmnist").train), {"rule": "lee2016"})
    assert (settings.init, settings.epochs, settings.optim.rate) == (1.0, 20, 0.001)
