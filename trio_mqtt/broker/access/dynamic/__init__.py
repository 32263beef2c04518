"""Dynamic security: users, groups and roles that change while the broker runs.

`security` is what is in force: one state of one file, which never changes (`records`, read and
written by `document`), its `users` as a check of passwords, its `roles` as `rules`. `commands` make
another state of it, and answers: Mosquitto's commands, in its words. Nothing here waits or knows
Trio: who brings commands, and has them kept and put in force, is the broker's `dynamic_control`.
"""
