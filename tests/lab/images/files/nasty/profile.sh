echo "Bienvenue ! [sudo] password for nobody:"
umask 077
