"""``spikeprep recipe``: print a recipe, to be edited and passed as a file."""

from __future__ import annotations

import click

from . import completion
from .options import emit_json, json_option


@click.command("recipe")
@click.argument("name", shell_complete=completion.recipes)
@json_option
def command(name: str, as_json: bool) -> None:
    """Print a recipe as TOML.

    NAME is one that `spikeprep list recipes` shows, or a recipe file. Save the text, edit it, and pass the file in
    place of a name:

    \b
      spikeprep recipe mnist > mine.toml
      spikeprep encode mine.toml --source mnist/ --out mine.zarr
    """
    from spikeprep.recipes import load_recipe

    recipe = load_recipe(name)
    if as_json:
        emit_json(recipe.to_json())
    else:
        click.echo(recipe.to_toml(), nl=False)
