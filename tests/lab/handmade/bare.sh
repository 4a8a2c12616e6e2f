#!/bin/sh
# Turns a copy of a deployed host into one that encamp never saw: only the installed packages and environments stay.
set -eu
systemctl disable --quiet --now prefect-server.service 2>/dev/null || true
rm -rf /etc/systemd/system/prefect-server.service* /etc/prefect /var/lib/prefect /opt/prefect/default /var/lib/encamp \
    /var/log/encamp /run/encamp*
if [ -d /etc/postgresql ]; then
    runuser -u postgres -- psql -qc 'DROP DATABASE IF EXISTS prefect' -c 'DROP ROLE IF EXISTS prefect'
fi
systemctl daemon-reload
