#!/bin/sh
# A unit with another name, its settings in an environment file, and Postgres of the distribution with a password.
set -eu
runuser -u postgres -- psql -qc "CREATE ROLE flows LOGIN PASSWORD 'p@ss/w:rd'" -c 'CREATE DATABASE etl OWNER flows'
runuser -u postgres -- psql -qd etl -c 'CREATE EXTENSION IF NOT EXISTS pg_trgm'
install -d -o flows -g flows /srv/prefect
cat > /srv/prefect/server.env <<'ENV'
PREFECT_HOME=/srv/prefect
PREFECT_API_DATABASE_CONNECTION_URL=postgresql+asyncpg://flows:p%40ss%2Fw%3Ard@localhost:5432/etl
PREFECT_SERVER_API_HOST=0.0.0.0
PREFECT_LOGGING_LEVEL=INFO
ENV
chown flows: /srv/prefect/server.env && chmod 600 /srv/prefect/server.env
cat > /etc/systemd/system/orchestrator.service <<'UNIT'
[Unit]
Description=Orchestration
After=postgresql.service

[Service]
User=flows
WorkingDirectory=/srv/prefect
EnvironmentFile=/srv/prefect/server.env
ExecStart=/bin/bash -c 'source /home/flows/venv/bin/activate && exec prefect server start'
Restart=always

[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --quiet --now orchestrator.service
