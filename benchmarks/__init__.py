"""Timings of Holmia on this machine; `make bench` prints them."""
