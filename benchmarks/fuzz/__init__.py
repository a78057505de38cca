"""Fuzzing: the readers of what peers send, against bytes that coverage guides. Run `make fuzz`."""
