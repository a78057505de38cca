"""How the pictures of the documentation are made; see `docs/make_screens.py`."""
