"""The program that starts an adopted server again. It stays on the host, so that it works without encamp.

A timer runs it with ``--unless-done`` when a takeover, or a return, does not end: it waits for a run that is under way.
Each of its steps may be repeated, so that a return that was cut off goes on where it was.
"""

from __future__ import annotations

SCRIPT = r'''#!/usr/bin/env python3
"""Starts the Prefect server that encamp continues again, as it was, and stops encamp's. Written by encamp.

Its data is as it was when it was stopped, unless both use one Postgres database. Nothing is deleted.
"""
import fcntl, json, os, pwd, re, shutil, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
RECORD = os.path.join(HERE, "record.json")
INSTANCE = os.path.basename(HERE)
LOCK = "/run/encamp.lock"
SYSTEM = "/etc/systemd/system"
DISABLED = "# continued by encamp, see `fab adopt --undo`: "
MARK = "# Managed by encamp"

def load():
    with open(RECORD) as file:
        return json.load(file)

def replace_text(path, text):
    """All of it or nothing, with the owner and mode that it has. crontab(1) names its temporary files so, too."""
    part = os.path.join(os.path.dirname(path), "tmp.encamp")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    was = os.stat(path)
    os.chown(part, was.st_uid, was.st_gid)
    os.chmod(part, was.st_mode & 0o7777)
    os.replace(part, path)

def save(record, state):
    record["state"] = state
    replace_text(RECORD, json.dumps(record, indent=1))

def run(*argv, must=True, **options):
    print("+ " + " ".join(argv[:6]), flush=True)
    done = subprocess.run(argv, **options)
    if must and done.returncode:
        sys.exit("%s exited %d" % (argv[0], done.returncode))
    return done.returncode

def of_user(record, *words, must=True):
    """`systemctl --user` of somebody else; without a manager that runs, none of his units does."""
    entry = pwd.getpwnam(record["user"])
    place = "/run/user/%d" % entry.pw_uid
    if os.path.isdir(place):
        run("runuser", "-u", record["user"], "--", "env", "XDG_RUNTIME_DIR=" + place, "systemctl", "--user", *words,
            must=must)

def restore_files(record):
    """What stood where encamp's files stand; encamp's unit goes where the old one of its name stood elsewhere."""
    own = os.path.join(SYSTEM, record["new_unit"])
    if record["unit"] == record["new_unit"] and own not in record["moved"] and os.path.isfile(own):
        with open(own) as file:
            if MARK in file.read(2000):
                os.remove(own)
    for path, copy in record["moved"].items():
        if os.path.lexists(copy):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            run("cp", "-a", "-T", "--remove-destination", copy, path + ".part")
            os.replace(path + ".part", path)
        elif not os.path.lexists(path):
            sys.exit("%s is gone, and so is its copy %s" % (path, copy))
    for path, target in record.get("links", {}).items():
        if not os.path.lexists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(target, path)

def remove_guard(record):
    guard = record["guard"]
    if record["kind"] == "user unit" and guard:
        # In a folder of the user's: only with the user's rights, wherever its links lead.
        run("runuser", "-u", record["user"], "--", "rm", "-f", guard)
        run("runuser", "-u", record["user"], "--", "rmdir", "--ignore-fail-on-non-empty", os.path.dirname(guard),
            must=False, stderr=subprocess.DEVNULL)
    elif guard and os.path.exists(guard):
        os.remove(guard)
        if not os.listdir(os.path.dirname(guard)):
            os.rmdir(os.path.dirname(guard))

def restore_boot_lines(record):
    for place, line in record["boot"].items():
        path = place.rpartition(":")[0]
        with open(path) as file:
            lines = file.read().split("\n")
        if DISABLED + line in lines:
            replace_text(path, "\n".join([line if each == DISABLED + line else each for each in lines]))
        elif line not in lines:
            print("%s has no line that encamp turned into a comment; it was: %s" % (path, line))

def listens(port):
    wanted = re.compile("^ *[0-9]+: [0-9A-F]+:%04X [0-9A-F:]+ 0A " % port, re.MULTILINE)
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if os.path.exists(table):
            with open(table) as file:
                if wanted.search(file.read()):
                    return True
    return False

def start_process(record):
    """In a scope of its own: neither the end of an SSH session nor of this program's unit ends it."""
    unit = "prefect-returned-" + INSTANCE
    if record.get("port") and listens(record["port"]):
        print("port %d is in use: it runs already" % record["port"])
        return
    user = pwd.getpwnam(record["user"])
    command = ["sh", "-c", record["start"]] if record["start"] else record["argv"]
    run("systemctl", "reset-failed", unit + ".scope", must=False, stderr=subprocess.DEVNULL)
    scope = [shutil.which("systemd-run"), "--scope", "--quiet", "--collect", "--uid=%d" % user.pw_uid,
             "--gid=%d" % user.pw_gid, "--unit=" + unit]
    environment = {"PATH": "/usr/bin:/bin", **record["environment"]}
    environment.update(HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name)
    place = record["cwd"] if os.path.isdir(record["cwd"]) else user.pw_dir
    null = subprocess.DEVNULL
    subprocess.Popen([*scope, "--", *command], env=environment, cwd=place, stdin=null, stdout=null, stderr=null,
                     start_new_session=True)

def way_back(record):
    # Its socket first: it would start the server again, and it holds the port.
    socket = record["new_unit"].replace(".service", ".socket")
    for unit in (socket, record["new_unit"].replace("-server", "-door", 1), record["new_unit"]):
        run("systemctl", "disable", "--now", "--quiet", unit, must=False)
    remove_guard(record)
    restore_files(record)
    restore_boot_lines(record)
    run("systemctl", "daemon-reload")
    if record["kind"] == "unit":
        if record["enabled"] and not record.get("links"):
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

def disarm():
    """No timer runs this program any more."""
    unit = "encamp-adopted-" + INSTANCE
    run("systemctl", "disable", "--quiet", "--now", unit + ".timer", must=False, stderr=subprocess.DEVNULL)
    for end in ("timer", "service"):
        path = os.path.join(SYSTEM, unit + "." + end)
        if os.path.exists(path):
            os.remove(path)
    run("systemctl", "daemon-reload", must=False)

def main():
    careful = "--unless-done" in sys.argv
    if careful:
        # A run that is under way ends the takeover, or the return, or fails; the lock is its.
        lock = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    record = load()
    if record["state"] == "returned" or (careful and record["state"] == "done"):
        print("nothing to do: the state is " + record["state"])
    else:
        save(record, "returning")
        way_back(record)
        save(record, "returned")
        print(record["name"] + " runs again; encamp's " + record["new_unit"] + " is stopped and disabled")
    disarm()

main()
'''
