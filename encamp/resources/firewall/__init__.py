"""Opening a port in ufw, firewalld or nftables."""
