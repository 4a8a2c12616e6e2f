#!/bin/sh
# environment.sh USER PLACE: an environment with Prefect at PLACE, as USER's own `python -m venv` and pip would make it.
set -eu
user=$1 place=$2
id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
source=$(ls -d /opt/prefect/envs/*)
mkdir -p "$(dirname "$place")"
cp -a "$source" "$place"
grep -rlI "^#!$source" "$place/bin" | xargs sed -i "1s|^#!$source|#!$place|"
home=$(getent passwd "$user" | cut -d: -f6)
case $place in "$home"/*) chown -R "$user:" "$home/$(echo "${place#"$home"/}" | cut -d/ -f1)" ;; *) chown -R "$user:" "$place" ;; esac
