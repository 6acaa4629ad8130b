"""HM2-BP training; the backend always arrives as an argument."""
