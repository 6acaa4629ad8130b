"""Event recordings in the formats of cameras and data sets, one a file, behind `read` and `open_events`."""
