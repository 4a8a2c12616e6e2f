# The host rhel1 from a real image of the RHEL family, for `make test-rhel IMAGE=...`; see tests/lab/debian_images.py.
ARG BASE
FROM ${BASE}
ENV container=docker
STOPSIGNAL SIGRTMIN+3
# python3 of RHEL 9 is 3.9, and Prefect's default release wants a newer one; RHEL 10 has it.
RUN dnf -y install systemd openssh-server sudo python3 iproute nftables ca-certificates procps-ng shadow-utils firewalld \
    && { dnf -y install python3.12 || python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; } \
    && systemctl mask console-getty.service getty.target systemd-networkd-wait-online.service \
    && systemctl set-default multi-user.target \
    && firewall-offline-cmd --zone=public --add-port=8080/tcp \
    && rm -rf /etc/ssh/ssh_host_*_key* && : > /etc/machine-id
COPY files/sshd.conf /etc/ssh/sshd_config.d/00-lab.conf
COPY files/sudoers /etc/sudoers.d/lab
COPY files/ssh-hostkeys.service /etc/systemd/system/ssh-hostkeys.service
COPY files/lab-init /usr/local/sbin/lab-init
RUN sed -i 's/ssh\.service/sshd.service/' /etc/systemd/system/ssh-hostkeys.service \
    && for name in deploy plain dev; do id $name || useradd --create-home --shell /bin/bash $name; done \
    && chmod 0440 /etc/sudoers.d/lab && chmod 0755 /usr/local/sbin/lab-init && visudo -c \
    && mkdir -p /var/log/journal /var/cache/encamp \
    && systemctl enable ssh-hostkeys.service firewalld.service
CMD ["/usr/local/sbin/lab-init"]
