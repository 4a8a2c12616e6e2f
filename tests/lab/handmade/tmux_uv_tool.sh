#!/bin/sh
# `uv tool install prefect` of user flows, started at boot by cron in tmux.
set -eu
apt-get -qq -o Acquire::Retries=5 update
DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=5 install -y --no-install-recommends cron tmux >/dev/null
mkdir -p /home/flows/.local/bin /home/flows/bin
ln -sf /home/flows/.local/share/uv/tools/prefect/bin/prefect /home/flows/.local/bin/prefect
cat > /home/flows/bin/start-prefect.sh <<'RUN'
#!/bin/bash
export PATH="$HOME/.local/bin:$PATH"
tmux new-session -d -s prefect 'prefect server start --host 0.0.0.0 --port 4200'
RUN
chmod +x /home/flows/bin/start-prefect.sh
chown -R flows: /home/flows/.local /home/flows/bin
# As people answer its question: in a terminal, Prefect asks for an address that is not the profile's.
runuser -u flows -- sh -c 'cd && .local/bin/prefect config set PREFECT_API_URL=http://0.0.0.0:4200/api' >/dev/null
printf 'MAILTO=""\n@reboot /home/flows/bin/start-prefect.sh\n' | crontab -u flows -
runuser -u flows -- /home/flows/bin/start-prefect.sh
