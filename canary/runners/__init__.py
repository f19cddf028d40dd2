"""Who drives both arms over the pairs; each type is one file."""

RUNNERS = {
    "local": "canary.runners.local:run",
    "ray": "canary.runners.ray:run",
}
"""Runner type -> `module:function`, imported when it is chosen."""
