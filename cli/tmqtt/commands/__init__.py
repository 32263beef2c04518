"""The commands' options: one module each, loaded when its command is called."""
