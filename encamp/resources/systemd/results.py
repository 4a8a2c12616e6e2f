"""What systemd means by an exit status and by a unit's result, in plain words."""

from __future__ import annotations

#: Exit statuses set by systemd itself, from systemd.exec(5).
EXIT_STATUS = {
    200: "its working directory is missing or not accessible",
    203: "its program is missing or cannot be executed",
    205: "the resource limits of its unit could not be set",
    208: "its standard input could not be set up",
    209: "its standard output could not be set up",
    216: "its group does not exist, or systemd could not switch to it",
    217: "its user does not exist, or systemd could not switch to it",
    218: "its capabilities could not be set: this host, such as a container, lacks them",
    224: "PAM did not open a session for its user (the journal says why)",
    225: "its network namespace could not be set up, as in a container that forbids it",
    226: "its sandbox could not be set up: a path is missing, or this host forbids it (the journal says which)"
    "; a container without mount namespaces needs mount_namespaces: false",
    228: "the filter of system calls that its unit sets could not be applied",
    233: "its runtime directory could not be set up",
    238: "its state directory could not be set up",
    243: "its credentials could not be set up: a file that LoadCredential names is missing, or cannot be decrypted",
}
RESULTS = {
    "timeout": "it did not start, or did not stop, within its timeout",
    "watchdog": "it stopped answering systemd's watchdog",
    "oom-kill": "the kernel killed it because memory ran out: the host's, or what its unit may use (MemoryMax)",
    "start-limit-hit": "it failed too often in a short time, so systemd stopped restarting it",
    "resources": "systemd could not set it up: often a missing EnvironmentFile (the journal says what)",
    "protocol": "it exited without notifying systemd that it was ready",
    "signal": "a signal killed it",
    "core-dump": "it crashed with a core dump",
    "exec-condition": "its ExecCondition= said no",
}
