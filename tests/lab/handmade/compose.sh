#!/bin/sh
# compose.sh PREFECT_IMAGE POSTGRES_IMAGE: a Compose stack in /srv/stack, its images from /root/images.tar.gz.
set -eu
apt-get -qq -o Acquire::Retries=5 update
DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=5 install -y --no-install-recommends \
    docker.io docker-compose >/dev/null
# This host drops what is forwarded, also between containers.
systemctl disable --quiet --now nftables
nft flush ruleset
systemctl restart docker
docker load --quiet --input /root/images.tar.gz
rm /root/images.tar.gz
mkdir -p /srv/stack
printf 'hand-made\n' > /srv/stack/password
cat > /srv/stack/docker-compose.yml <<STACK
version: "3.7"
services:
  db:
    image: $2
    command: postgres -c "listen_addresses=*"
    environment:
      POSTGRES_USER: prefect
      POSTGRES_DB: prefect
      POSTGRES_PASSWORD_FILE: /run/password
    volumes: ["data:/var/lib/postgresql/data", "./password:/run/password:ro"]
    restart: always
  server:
    image: $1
    command: prefect server start --host 0.0.0.0
    environment:
      PREFECT_API_DATABASE_CONNECTION_URL: postgresql+asyncpg://prefect:hand-made@db:5432/prefect
      PREFECT_API_DATABASE_TIMEOUT: 120
      PREFECT_API_DATABASE_CONNECTION_TIMEOUT: 60
      PREFECT_UI_API_URL: http://127.0.0.1:4200/api
    volumes: ["./seed.py:/srv/seed.py:ro"]
    ports: ["4200:4200"]
    restart: unless-stopped
volumes:
  data: {}
STACK
cp /root/hand/seed.py /srv/stack/seed.py
cd /srv/stack && docker-compose up -d
