"""The documentation site: `python -m docs_site` runs the tutorials' code, writes the reference and builds the pages.

`make docs` calls it. Pages are plain Markdown in docs/; `blocks` runs their code, in the tests too.
"""
