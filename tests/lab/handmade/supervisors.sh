#!/bin/sh
# Servers kept running by programs of all kinds, each on a port of its own. Each is a program that does nothing, started
# as a Prefect server is: what is told of it does not depend on more.
set -eu
apt-get -qq -o Acquire::Retries=5 update
DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=5 install -y --no-install-recommends \
    daemontools runit s6 screen supervisor >/dev/null
mkdir -p /srv/fake/bin
cp "$(readlink -f /usr/bin/python3)" /srv/fake/bin/python
printf '#!/srv/fake/bin/python\nimport time\ntime.sleep(100000)\n' > /srv/fake/bin/prefect
chmod 755 /srv/fake/bin/prefect

service() { # FOLDER PORT: a service as runit, s6 and daemontools read it
    mkdir -p "$1"
    printf '#!/bin/sh\nexec /srv/fake/bin/prefect server start --port %s\n' "$2" > "$1/run"
    chmod 755 "$1/run"
}
printf '[program:flows]\ncommand=/srv/fake/bin/prefect server start --port 4301\n' > /etc/supervisor/conf.d/flows.conf
supervisorctl update
service /srv/runit/flows 4302
setsid runsvdir /srv/runit >/dev/null 2>&1 </dev/null &
service /srv/s6/flows 4303
setsid s6-svscan /srv/s6 >/dev/null 2>&1 </dev/null &
service /srv/daemontools/flows 4304
setsid svscan /srv/daemontools >/dev/null 2>&1 </dev/null &
screen -dmS flows /srv/fake/bin/prefect server start --port 4305
setsid nohup /srv/fake/bin/prefect server start --port 4306 >/dev/null 2>&1 </dev/null &
for port in 4301 4302 4303 4304 4305 4306; do
    timeout 120 sh -c "until pgrep -f '[p]ython.* server start --port $port' >/dev/null; do sleep 0.2; done"
done
