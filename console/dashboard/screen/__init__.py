"""What the window draws, decided: pure functions from what is known to an immutable screen. No Qt."""
