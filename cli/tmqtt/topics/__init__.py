"""Topics as they become known by their messages, for the commands that show many of them.

`topics` is what is known of each, `numbers` what can be drawn of payloads; `tree` has them by
levels, and `lines` and `tree_frames` make lines of them. All is sans-IO, and knows no client.
"""
