"""What the program is worth on phantoms whose truth is known: `make validate` writes docs/validation.md."""
