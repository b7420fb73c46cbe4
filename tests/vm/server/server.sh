#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# server.sh [systemd]: PID 1 of the machine that serves the others, or a unit of its systemd: does what the harness
# writes into its port, a line each. /dev/vdb is the exported root, /dev/vdc what HTTP and TFTP give out.
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=/root
address=192.168.99.1

mounts() { # what systemd would mount
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    mount -t devtmpfs devtmpfs /dev
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /tmp
    mkdir -p /run/sendsigs.omit.d /run/rpcbind
}

network() {
    nic=eth0
    [ ! -e /sys/class/net/vec0 ] || nic=vec0
    ip link set lo up
    ip addr add $address/24 dev $nic
    ip link set $nic up
}

# What the guide's steps that need the internet, or are too slow here, leave behind: the node's root with its initramfs, and
# overlayctl on the server. Packing is quicker with the least effort.
prepare_guide() {
    mkdir -p /srv/nfs/node-1
    mount -o noatime /dev/vdb /srv/nfs/node-1
    # user-mode Linux has its modules in each root, and no kernel there: no node that mmdebstrap made has them
    for modules in /srv/nfs/node-1/usr/lib/modules/*; do
        [ -e "/srv/nfs/node-1/boot/vmlinuz-${modules##*/}" ] || rm -r "$modules"
    done
    install -m 600 /srv/files/initrd.img /srv/nfs/node-1/boot/initrd-node.img
    install -m 755 /srv/nfs/node-1/usr/bin/overlayctl /usr/local/bin/overlayctl
    cat >/usr/local/bin/mksquashfs <<'END'
#!/bin/sh
[ -d "$1" ] || exec /usr/bin/mksquashfs "$@" # -version, -help
root=$1 out=$2
shift 2
exec /usr/bin/mksquashfs "$root" "$out" -Xcompression-level 1 "$@"
END
    chmod 755 /usr/local/bin/mksquashfs
    mount --bind /srv/nfs/node-1 /export/root
}

# node_arguments ARGUMENT...: puts what this emulation needs before the kernel arguments that the guide wrote
node_arguments() {
    for menu in /srv/tftp/pxelinux.cfg/default /srv/tftp/grub/grub.cfg /srv/tftp/boot.ipxe; do
        sed -i "s|'\\?root=|$* &|" $menu
        grep -q 'console=.*root=' $menu || { echo "no kernel arguments in $menu" && return 1; }
    done
    sed -i '1i SERIAL 0' /srv/tftp/pxelinux.cfg/default
    head -v -n 30 /srv/tftp/pxelinux.cfg/default /srv/tftp/grub/grub.cfg /srv/tftp/boot.ipxe
}

[ "${1-}" = systemd ] || mounts
mkdir -p /export/root /srv/files /var/lib/nfs/sm /var/log/nginx
for module in virtio_net virtio_console nfsd nfsv3 ext4; do
    modprobe -q $module
done
network
mount -o ro,noload /dev/vdc /srv/files
if [ "${1-}" = systemd ]; then
    prepare_guide
else
    mount -o noatime /dev/vdb /export/root
fi

start_nfs() { # [OPTIONS of the export]
    mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd
    pidof rpcbind >/dev/null || rpcbind -w
    echo "/export/root *(${1:-rw},no_root_squash,no_subtree_check)" >/etc/exports
    exportfs -ra
    # seconds; kernel 6.1 takes no less than 10, and its own 90 would keep a restarted server from answering
    rpc.nfsd --grace-time 10 --lease-time 10 4
    pidof rpc.mountd >/dev/null || rpc.mountd
}
stop_nfs() {
    rpc.nfsd 0 && exportfs -ua
}

start_dhcp() { # with TFTP
    {
        echo "port=0
interface=$nic
dhcp-range=192.168.99.100,192.168.99.199,255.255.255.0,1h
dhcp-authoritative
enable-tftp
tftp-root=/srv/files
log-dhcp
log-facility=/tmp/dnsmasq.log
dhcp-leasefile=/tmp/leases"
        cat /srv/files/dnsmasq.conf 2>/dev/null
    } >/tmp/dnsmasq.conf
    dnsmasq --conf-file=/tmp/dnsmasq.conf --user=root
}
stop_dhcp() {
    kill "$(pidof dnsmasq)"
}

start_http() { # [BYTES PER SECOND of a connection, as 100k [FILE: only its last 4 MB]]
    after=
    [ -z "${2-}" ] || after="limit_rate_after $(($(stat -c %s "/srv/files/$2") - 4000000));"
    echo "user root; pid /run/nginx.pid; error_log /tmp/nginx.log;
events { }
http { access_log /tmp/access.log; sendfile on; ${1:+limit_rate $1;} $after server { listen 80; root /srv/files; } }" >/tmp/nginx.conf
    nginx -c /tmp/nginx.conf
}
start_https() { # PEM, a certificate and its key in files; PORT
    pem=/srv/files/$1.pem
    echo "user root; pid /run/nginx-$2.pid; error_log /tmp/nginx.log;
events { }
http { access_log /tmp/access.log; server { listen $2 ssl; ssl_certificate $pem; ssl_certificate_key $pem; root /srv/files; } }" >"/tmp/nginx-$2.conf"
    nginx -c "/tmp/nginx-$2.conf"
}
stop_http() {
    nginx -c /tmp/nginx.conf -s stop
}

start_nbd() {
    printf '[generic]\n[root]\nexportname = /dev/vdb\nreadonly = true\n' >/tmp/nbd.conf
    umount /export/root && nbd-server -C /tmp/nbd.conf
}

start_git() { # repositories below files/git
    git daemon --detach --export-all --base-path=/srv/files/git
}

sent() { # bytes that went out
    cat /sys/class/net/$nic/statistics/tx_bytes
}

sum() { # of every file, attribute and name in the export
    (cd /export/root && find . -xdev -printf '%p %y %m %U %G %s %T@ %l\n' | sort | sha256sum &&
        find . -xdev -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum) 2>&1
}

if [ -b /dev/ubda ]; then
    node=/dev/ttyS1
else
    for port in /sys/class/virtio-ports/*; do
        [ "$(cat "$port/name")" = commands ] && node=/dev/${port##*/}
    done
fi
exec 3<>"$node"
# a terminal would echo, and put a carriage return before each newline
[ ! -t 3 ] || stty raw -echo <&3
echo "DONE 0" >&3
while read -r line <&3; do
    echo "server: $line" >/dev/console
    eval "$line" >/tmp/out 2>&1 3<&- </dev/null
    status=$?
    sed 's/^/| /' /tmp/out >&3
    sed 's/^/server: | /' /tmp/out >/dev/console
    echo "DONE $status" >&3
done
echo "server: the port is closed" >/dev/console
poweroff -f
