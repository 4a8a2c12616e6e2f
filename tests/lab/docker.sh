#!/usr/bin/env bash
# Makes a working Docker engine and a Compose command available to the lab.
#
#   tests/lab/docker.sh           make the engine answer (installs and starts what is missing); quiet when it does
#   tests/lab/docker.sh compose   the same, then print which Compose command this machine has
#   tests/lab/docker.sh need CMD PACKAGE...   install Debian packages unless CMD is there already
#
# Safe to run again and again, and from several processes at once. Exits 3 when Docker is missing and this script
# cannot install it, 4 when the engine does not come up.
set -euo pipefail

WAIT_SECONDS="${ENCAMP_LAB_DOCKER_WAIT:-120}"
STATE_DIR="${XDG_STATE_HOME:-${HOME:-/root}/.local/state}/encamp-lab"
LOG="$STATE_DIR/dockerd.log"
APT_LOG="$STATE_DIR/apt.log"

# A pinned API version would stop a newer client from negotiating with an older engine.
unset DOCKER_API_VERSION

say() { printf 'docker.sh: %s\n' "$*" >&2; }

die() {
    local code="$1"
    shift
    say "$*"
    exit "$code"
}

# Runs a command again when it fails, with growing pauses: mirrors drop connections.
retry() {
    local attempt
    for attempt in 1 2 3 4 5; do
        "$@" && return 0
        say "failed (attempt $attempt of 5): $*"
        sleep $((attempt * 3))
    done
    return 1
}

is_debian() { [ -r /etc/os-release ] && grep -Eq '^ID(_LIKE)?=.*(debian|ubuntu)' /etc/os-release; }

can_install() { [ "$(id -u)" -eq 0 ] && is_debian && command -v apt-get >/dev/null; }

engine_answers() { timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

compose_command() {
    if docker compose version >/dev/null 2>&1; then
        echo "docker compose"
    elif docker-compose version >/dev/null 2>&1; then
        echo "docker-compose"
    else
        return 1
    fi
}

apt_get() { DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=5 "$@" >>"$APT_LOG" 2>&1; }

apt_install() {
    say "installing with apt-get: $*"
    # A source that does not answer must not stop what the other sources can give.
    retry apt_get update || say "apt-get update had errors; going on with what is known"
    retry apt_get install -y --no-install-recommends "$@" && return 0
    tail -n 20 "$APT_LOG" >&2
    return 1
}

# need COMMAND PACKAGE...: COMMAND is there, or the packages get installed.
need() {
    local command="$1"
    shift
    command -v "$command" >/dev/null && return 0
    can_install || die 3 "'$command' is missing; install it first: apt-get install $*"
    apt_install "$@" || die 3 "could not install: $*"
}

install_engine() {
    if ! can_install; then
        die 3 "no Docker engine here, and only root on Debian or Ubuntu can have it installed by this script." \
            "Install Docker Engine with Compose (https://docs.docker.com/engine/install/)," \
            "or on Debian as root: apt-get install docker.io docker-compose"
    fi
    apt_install docker.io iptables iproute2 ca-certificates || die 3 "apt-get could not install docker.io"
}

ensure_compose() {
    compose_command >/dev/null && return 0
    can_install || die 3 "Docker is here but Compose is not; install docker-compose-plugin (v2) or docker-compose (v1)"
    apt_install docker-compose || die 3 "apt-get could not install docker-compose"
    compose_command >/dev/null || die 3 "docker-compose was installed but does not run"
}

mount_cgroups() {
    mountpoint -q /sys/fs/cgroup && return 0
    say "mounting /sys/fs/cgroup"
    mount -t cgroup2 cgroup2 /sys/fs/cgroup || say "could not mount cgroups; dockerd will say more"
}

start_engine() {
    if [ "$(id -u)" -ne 0 ]; then
        die 4 "the Docker engine does not answer and you are not root; start it, or join the docker group: sudo systemctl start docker"
    fi
    if [ -d /run/systemd/system ]; then
        say "starting docker.service"
        systemctl start docker.service || say "systemctl start docker.service failed"
        return 0
    fi
    mount_cgroups
    mkdir -p "$STATE_DIR"
    pidof dockerd >/dev/null || rm -f /var/run/docker.pid
    pidof containerd >/dev/null || rm -f /var/run/docker/containerd/containerd.pid
    say "starting dockerd; its log: $LOG"
    # A session of its own and no descriptor of ours (9 is the lock): it outlives this script and its caller.
    setsid nohup dockerd >>"$LOG" 2>&1 </dev/null 9>&- &
}

wait_for_engine() {
    local deadline=$((SECONDS + WAIT_SECONDS))
    until engine_answers; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            [ -r "$LOG" ] && tail -n 20 "$LOG" >&2
            die 4 "the Docker engine did not answer within ${WAIT_SECONDS}s"
        fi
        sleep 1
    done
}

# Every systemd and journald watches files; a kernel's default allows about fifteen hosts, and the next one never
# finishes booting, without a word why.
raise_limits() {
    local limit=/proc/sys/fs/inotify/max_user_instances wanted=1024
    [ -r "$limit" ] && [ "$(cat "$limit")" -lt "$wanted" ] || return 0
    if ! { echo "$wanted" >"$limit"; } 2>/dev/null; then
        say "only $(cat "$limit") inotify instances are allowed; for many hosts: sudo sysctl fs.inotify.max_user_instances=$wanted"
    fi
}

ensure_engine() {
    command -v docker >/dev/null && engine_answers && return 0
    if [ -n "${DOCKER_HOST:-}" ]; then
        die 4 "DOCKER_HOST is $DOCKER_HOST and does not answer"
    fi
    command -v dockerd >/dev/null || install_engine
    # Installing may have started it (a machine with systemd).
    engine_answers || start_engine
    wait_for_engine
}

# One process at a time installs and starts.
mkdir -p "$STATE_DIR"
exec 9>"$STATE_DIR/docker.lock"
if command -v flock >/dev/null; then flock 9; fi

case "${1:-}" in
"")
    ensure_engine
    ensure_compose
    raise_limits
    ;;
compose)
    ensure_engine
    ensure_compose
    raise_limits
    compose_command
    ;;
need)
    [ "$#" -ge 3 ] || die 1 "usage: docker.sh need COMMAND PACKAGE..."
    shift
    need "$@"
    ;;
*) die 1 "usage: docker.sh [compose | need COMMAND PACKAGE...]" ;;
esac
