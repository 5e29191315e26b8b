# PID 1 of a lab host. Runs inside new mount, UTS and PID namespaces; everything it mounts is
# private to them and goes away with them.
#
# Arguments: the host's directory on the machine, the host's name.
# stdout: the line "up" once sshd listens and the declared services were started.
# stdin: a pipe from the process that owns the lab. When it closes, by order or because that
# process was killed, PID 1 ends and the kernel kills everything else on the host.
set -eu
host_dir=$1
name=$2

# Relative paths from here stay valid when /tmp, /run or /root are hidden below.
cd "$host_dir"
hostname "$name"

# Programs of the build appear at one fixed path on every host. They are bound first, because
# their real path may lie below a directory that is hidden later.
while read -r program path; do
    : > "./files/bin/$program"
    mount --bind "$path" "./files/bin/$program"
done < ./programs

mount -t tmpfs -o mode=755 zdu-lab /opt
mkdir /opt/zdu-lab
mount -c --rbind ./files /opt/zdu-lab

# What a real machine loses at a reboot is a tmpfs, what it keeps is a directory of the host.
mount -c --bind ./root /root
mount -c --bind ./var-lib /var/lib
mount -c --bind ./var-tmp /var/tmp
mount -t tmpfs -o mode=755 zdu-lab /run
mount -t tmpfs -o mode=1777 zdu-lab /tmp
mkdir /run/sshd /run/haproxy /run/svc

# The kernel has one boot id for all namespaces. systemd-nspawn binds a file over it as well, so
# that a container that was started anew is seen as rebooted.
mount -c --bind ./boot_id /proc/sys/kernel/random/boot_id
mount -c --bind ./etc-hosts /etc/hosts
[ ! -e /etc/hostname ] || mount -c --bind ./etc-hostname /etc/hostname
[ ! -e /etc/machine-id ] || mount -c --bind ./etc-machine-id /etc/machine-id
cd /

/opt/zdu-lab/bin/svc start sshd
for service in /opt/zdu-lab/services/*; do
    [ ! -e "$service" ] || /opt/zdu-lab/bin/svc start "${service##*/}"
done
echo up
exec >/dev/null

# `wait` of a POSIX shell takes in any child that ended, so orphans leave no zombies here.
exec 3<&0
cat <&3 >/dev/null &
wait $!
