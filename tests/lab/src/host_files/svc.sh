#!/bin/sh
# The service manager of a lab host, as small as it can be: start, stop and look at programs
# that outlive the ssh session that started them.
#
#   svc start|stop|restart|kill|reload|status NAME
#
# A service is a shell script /opt/zdu-lab/services/NAME that ends in `exec PROGRAM ..`. It is
# started at boot. stop = TERM, and KILL after 30 seconds; kill = KILL at once; reload = USR2.
# The service `sshd` is built in; its stop also ends every session that is open.
set -u
action=$1
name=$2
base=/opt/zdu-lab
pid_file=/run/svc/$name.pid
[ "$name" != sshd ] || pid_file=/run/sshd.pid

pid_of() { cat "$pid_file" 2>/dev/null; }

# A zombie has ended: it only waits for PID 1 to take it in.
alive() {
    pid=$(pid_of) && [ -n "$pid" ] && [ -r "/proc/$pid/stat" ] || return 1
    case $(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null) in
        '' | [ZX]*) return 1 ;;
        *) return 0 ;;
    esac
}

# $1: how often to look, 20 ms apart.
wait_gone() {
    left=$1
    while alive; do
        [ "$left" -gt 0 ] || return 1
        left=$((left - 1))
        sleep 0.02
    done
}

start() {
    if alive; then return 0; fi
    if [ "$name" = sshd ]; then
        # sshd writes its pid file after it listens.
        rm -f "$pid_file"
        /usr/sbin/sshd -f "$base/host/sshd_config" -E "$base/log/sshd.log" </dev/null || return 1
        left=250
        until [ -s "$pid_file" ]; do
            [ "$left" -gt 0 ] || return 1
            left=$((left - 1))
            sleep 0.02
        done
        return 0
    fi
    [ -e "$base/services/$name" ] || { echo "no service $name" >&2; return 4; }
    setsid /bin/sh "$base/services/$name" </dev/null >>"$base/log/$name.log" 2>&1 &
    echo $! >"$pid_file"
}

# OpenSSH before 9.8 calls its sessions `sshd`, since then `sshd-session`.
end_sshd() {
    for proc in /proc/[0-9]*; do
        case $(cat "$proc/comm" 2>/dev/null) in
            sshd*) kill -KILL "${proc#/proc/}" 2>/dev/null ;;
        esac
    done
}

stop() {
    if [ "$name" = sshd ]; then
        end_sshd
        wait_gone 250
        return
    fi
    alive || return 0
    kill -TERM "$pid"
    wait_gone 1500 || { kill -KILL "$pid"; wait_gone 250; }
}

case $action in
    start) start ;;
    stop) stop ;;
    restart) stop && start ;;
    kill) if alive; then kill -KILL "$pid"; wait_gone 250; fi ;;
    reload) alive && kill -USR2 "$pid" ;;
    status) if alive; then echo "running $pid"; else echo stopped; exit 3; fi ;;
    *) echo "svc: unknown action $action" >&2; exit 2 ;;
esac
