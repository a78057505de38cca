"""The parts of the window: they draw what the screen says and turn keys and presses into actions. Qt."""
