"""Where samples come from: one file format a module, each a reader plugin."""
