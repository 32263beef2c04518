"""The terminal command `tmqtt`: a folder for each command, and three for what they share.

`app` names the commands, and loads the `options` of one when it is called: these say what it takes,
and load the rest of its folder when it runs. Commands do not know each other. Below them are
`messages` and `connecting`, and below these `terminal`. All of it uses the public names of
`trio_mqtt` alone. Nothing here is for programs.
"""
