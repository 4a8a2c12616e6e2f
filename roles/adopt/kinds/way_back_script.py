"""The program that starts an adopted server again. It stays on the host, so that it works without encamp.

A timer runs it with ``--unless-done`` when a takeover does not end: it waits for a deploy that is under way.
"""

from __future__ import annotations

SCRIPT = r'''#!/usr/bin/env python3
"""Starts the Prefect server that encamp continues again, as it was, and stops encamp's. Written by encamp.

Its data is as it was when it was stopped, unless both use one Postgres database. Nothing is deleted.
"""
import fcntl, json, os, pwd, shutil, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
RECORD = os.path.join(HERE, "record.json")
LOCK = "/run/encamp.lock"

def load():
    with open(RECORD) as file:
        return json.load(file)

def save(record):
    part = RECORD + ".part"
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(record, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, RECORD)

def run(*argv, must=True, **options):
    print("+ " + " ".join(argv[:6]), flush=True)
    done = subprocess.run(argv, **options)
    if must and done.returncode:
        sys.exit("%s exited %d" % (argv[0], done.returncode))
    return done.returncode

def of_user(record, *words):
    entry = pwd.getpwnam(record["user"])
    run("runuser", "-u", record["user"], "--", "env", "XDG_RUNTIME_DIR=/run/user/%d" % entry.pw_uid,
        "systemctl", "--user", *words)

def restore_files(record):
    for path, copy in record["moved"].items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copy2(copy, path + ".part")
        os.replace(path + ".part", path)
    if record["guard"] and os.path.exists(record["guard"]):
        os.remove(record["guard"])
        if not os.listdir(os.path.dirname(record["guard"])):
            os.rmdir(os.path.dirname(record["guard"]))

def restore_boot_line(record):
    for place, line in record["boot"].items():
        path, _, number = place.rpartition(":")
        with open(path) as file:
            lines = file.read().split("\n")
        if lines[int(number) - 1].endswith(line):
            lines[int(number) - 1] = line
            with open(path, "w") as file:
                file.write("\n".join(lines))

def start_process(record):
    """In a scope of its own: neither the end of an SSH session nor of this program's unit ends it."""
    user = pwd.getpwnam(record["user"])
    command = ["sh", "-c", record["start"]] if record["start"] else record["argv"]
    scope = [shutil.which("systemd-run"), "--scope", "--quiet", "--uid=%d" % user.pw_uid, "--gid=%d" % user.pw_gid,
             "--unit=prefect-returned-%d" % os.getpid()]
    environment = {"PATH": "/usr/bin:/bin", **record["environment"]}
    environment.update(HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name)
    place = record["cwd"] if os.path.isdir(record["cwd"]) else user.pw_dir
    null = subprocess.DEVNULL
    subprocess.Popen([*scope, "--", *command], env=environment, cwd=place, stdin=null, stdout=null, stderr=null,
                     start_new_session=True)

def way_back(record):
    run("systemctl", "disable", "--now", "--quiet", record["new_unit"], must=False)
    restore_files(record)
    restore_boot_line(record)
    run("systemctl", "daemon-reload")
    if record["kind"] == "unit":
        if record["enabled"]:
            run("systemctl", "enable", "--quiet", record["unit"])
        if record["running"]:
            run("systemctl", "start", record["unit"])
    elif record["kind"] == "user unit":
        of_user(record, "daemon-reload")
        if record["enabled"]:
            of_user(record, "enable", "--quiet", record["unit"])
        if record["running"]:
            of_user(record, "start", record["unit"])
    elif record["kind"] == "container":
        for name, policy in record["containers"].items():
            run("docker", "update", "--restart=" + policy, name, stdout=subprocess.DEVNULL)
            run("docker", "start", name, stdout=subprocess.DEVNULL)
    elif record["running"]:
        start_process(record)

def main():
    careful = "--unless-done" in sys.argv
    if careful:
        # A deploy that is under way ends the takeover, or fails; the lock is its.
        lock = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    record = load()
    if record["state"] == "returned" or (careful and record["state"] == "done"):
        print("nothing to do: the state is " + record["state"])
        return
    way_back(record)
    record["state"] = "returned"
    save(record)
    timer = os.path.basename(HERE)
    run("systemctl", "disable", "--quiet", "encamp-adopted-%s.timer" % timer, must=False)
    print(record["name"] + " runs again; encamp's " + record["new_unit"] + " is stopped and disabled")

main()
'''
