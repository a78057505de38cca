"""What is typed and drawn in the dialogs: every field, check, word and state, without Qt."""
