#!/bin/sh
# Turns a copy of a deployed host into one that encamp never saw: only the installed packages and environments stay.
set -eu
for unit in prefect-server.socket prefect-door.service prefect-server.service; do
    systemctl disable --quiet --now "$unit" 2>/dev/null || true
done
rm -rf /etc/systemd/system/prefect-server.* /etc/systemd/system/prefect-door* /etc/prefect /var/lib/prefect \
    /opt/prefect/default /var/lib/encamp /var/log/encamp /run/encamp*
if [ -d /etc/postgresql ]; then
    runuser -u postgres -- psql -qc 'DROP DATABASE IF EXISTS prefect' -c 'DROP ROLE IF EXISTS prefect'
fi
systemctl daemon-reload
