"""The commands, a module for each kind; each registers itself on `console.cli.app.app` when it is imported."""
