#!/bin/sh
# A unit of encamp's own name, a venv in the home of user flows, SQLite in ~/.prefect, and a drop-in.
set -eu
cat > /etc/systemd/system/prefect-server.service <<'UNIT'
[Unit]
Description=Prefect (flows team)
After=network.target

[Service]
User=flows
ExecStart=/home/flows/venv/bin/prefect server start --host 0.0.0.0
Restart=on-failure

[Install]
WantedBy=multi-user.target
UNIT
mkdir -p /etc/systemd/system/prefect-server.service.d
printf '[Service]\nMemoryMax=1500M\n' > /etc/systemd/system/prefect-server.service.d/memory.conf
systemctl daemon-reload
systemctl enable --quiet --now prefect-server.service
