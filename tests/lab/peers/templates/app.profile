export APP_HOME=/srv/app
