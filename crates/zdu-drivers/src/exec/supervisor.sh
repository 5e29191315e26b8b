# zdu: functions of the step supervisor, for POSIX sh. Loaded once per channel; zdu_base,
# zdu_word (random), zdu_waiter (the waiter's text) and zdu_prologue (how each step's script begins)
# are set before. A process costs a node about as much as all the rest of a short step, so what the
# shell can do by itself it does by itself.
# Every function but the last lines runs in a subshell of its own. Answers go to standard output
# and begin with "zdu1 "; anything else is a failure of the node, told on standard error.
zdu_fail() {
    printf 'zdu: %s\n' "$*" >&2
    exit 1
}

zdu_sync() { sync "$1" 2>/dev/null || :; }

# make DIRECTORY...: these and the base, which must be ours and is closed to all others.
zdu_make() {
    [ -n "$zdu_base" ] || zdu_fail 'no base directory: HOME is not set'
    [ -r /proc/self/stat ] || zdu_fail '/proc is not mounted'
    for zdu_tool in setsid head tail; do
        command -v "$zdu_tool" >/dev/null || zdu_fail "$zdu_tool is missing"
    done
    [ ! -e "$zdu_base" ] || zdu_ours
    # `install` gives the mode to what is there already too; not every node has it.
    install -d -m 700 -- "$zdu_base" "$@" 2>/dev/null ||
        { mkdir -p -- "$zdu_base" "$@" && chmod 700 "$zdu_base"; } ||
        zdu_fail 'cannot create the base directory'
    zdu_ours
}

zdu_ours() {
    [ ! -L "$zdu_base" ] && [ -O "$zdu_base" ] || zdu_fail "$zdu_base belongs to someone else"
}

# seen FLEET: sets zdu_seen to the newest epoch this node knows, 0 when it knows none.
zdu_seen() {
    zdu_seen=0
    for zdu_file in "$zdu_base/epoch/$1".*; do
        zdu_number=${zdu_file#"$zdu_base/epoch/$1."}
        # Another fleet's, whose name begins with that of this one and a dot.
        case $zdu_number in '' | *[!0-9]*) continue ;; esac
        [ "$zdu_number" -le "$zdu_seen" ] || zdu_seen=$zdu_number
    done
}

# epoch FLEET NUMBER: stores a newer one durably; false (and zdu_state) when it is older. Each is a
# file of its own without a byte in it: a name is there or is not, after a power cut too, and two
# controllers at once cannot take back what the other has stored.
zdu_epoch() {
    zdu_seen "$1"
    if [ "$2" -gt "$zdu_seen" ]; then
        [ -d "$zdu_base/epoch" ] || zdu_make "$zdu_base/epoch"
        printf '' >>"$zdu_base/epoch/$1.$2" || zdu_fail 'cannot record the epoch'
        zdu_sync "$zdu_base/epoch"
        zdu_seen "$1"
        [ "$2" -le "$zdu_seen" ] || zdu_fail 'the recorded epochs cannot be read'
    fi
    zdu_state="refused $zdu_seen"
    [ "$2" -ge "$zdu_seen" ]
}

# alive PID STARTTIME: that very process runs (a zombie does not).
zdu_alive() {
    [ -r "/proc/$1/stat" ] || return 1
    IFS= read -r zdu_stat <"/proc/$1/stat" || return 1
    zdu_start=$2 zdu_stat=${zdu_stat##*) }
    set -- $zdu_stat
    [ "$1" != Z ] && [ "$1" != X ] && [ "${20}" = "$zdu_start" ]
} 2>/dev/null

zdu_ended() {
    zdu_end=
    [ -s "$1/exit" ] && IFS=' ' read -r zdu_kind zdu_code zdu_end <"$1/exit"
    [ "$zdu_end" = . ] && zdu_state="ended $zdu_kind $zdu_code"
}

# unclaimed RECORD, which has no waiter yet: true when it may still get one (zdu_state is set).
zdu_unclaimed() {
    zdu_tries=50
    while [ ! -s "$1/starter" ] && [ ! -e "$1/waiter" ] && [ -d "$1" ] && [ "$zdu_tries" -gt 0 ]; do
        sleep 0.02 || sleep 1
        zdu_tries=$((zdu_tries - 1))
    done 2>/dev/null
    [ ! -e "$1/waiter" ] || return 1
    if [ -s "$1/starter" ]; then
        IFS=' ' read -r zdu_end zdu_spid zdu_sbegun zdu_sboot zdu_end <"$1/starter"
        if [ "$zdu_sboot" = "$zdu_boot" ] && zdu_alive "$zdu_spid" "$zdu_sbegun"; then
            zdu_state=running
            return 0
        fi
    fi
    # The starter is gone. If a waiter comes up in this very moment, the one who makes the file
    # decides: it runs the step, or we have made sure that nobody ever will.
    zdu_void "$1" void
    return 1
}

# void RECORD WORD: makes sure that nobody ever starts it; false when somebody has come before. A
# file without a word would be taken for one that is just being written.
zdu_void() (
    umask 077
    set -C
    : >"$1/waiter" || exit 1
    echo "$2 0 0 ." >>"$1/waiter" || { rm -f "$1/waiter"; exit 1; }
) 2>/dev/null

# state RECORD: sets zdu_state.
zdu_state() {
    zdu_ended "$1" && return
    zdu_state=never
    [ -d "$1" ] || return 0
    if [ ! -e "$1/waiter" ]; then
        zdu_unclaimed "$1" && return
        [ -d "$1" ] || return 0
    fi
    zdu_pid=0 zdu_rest=gone zdu_wpid=
    if [ -s "$1/pid" ] && IFS=' ' read -r zdu_pid zdu_begun zdu_end <"$1/pid"; then
        zdu_alive "$zdu_pid" "$zdu_begun" && zdu_rest=alive
    fi
    IFS=' ' read -r zdu_wpid zdu_wbegun zdu_wboot zdu_end <"$1/waiter"
    if [ -z "$zdu_wpid" ]; then
        # Made and not yet written, unless the power went in between.
        IFS=' ' read -r zdu_end zdu_spid zdu_sbegun zdu_wboot zdu_end <"$1/starter"
        zdu_state=running
        [ "$zdu_boot" = "$zdu_wboot" ] || zdu_state="lost rebooted gone"
    elif [ "$zdu_wpid" = withdrawn ]; then
        zdu_state=never
    elif [ "$zdu_wpid" = void ]; then
        zdu_state="lost unstarted $zdu_rest"
    elif [ "$zdu_boot" != "$zdu_wboot" ]; then
        zdu_state="lost rebooted gone"
    elif zdu_alive "$zdu_wpid" "$zdu_wbegun"; then
        zdu_state=running
    else
        # It may have recorded the end since the first look.
        zdu_ended "$1" || zdu_state="lost supervisor $zdu_rest"
    fi
}

# more FILE OFFSET: there is output after the offset ("-": nobody wants it).
zdu_more() {
    [ "$2" != - ] && [ -s "$1" ] && [ "$(wc -c <"$1")" -gt "$2" ]
}

# nap MILLISECONDS: sets zdu_nap to what sleep takes.
zdu_nap() {
    zdu_nap=$((1000 + $1 % 1000))
    zdu_nap=$(($1 / 1000)).${zdu_nap#1}
}

# timer MILLISECONDS: a process that holds the other end of the pipe, alone, for so long.
zdu_timer() {
    zdu_nap "$1"
    # Opened before it is there: with nobody at the other end a read does not wait.
    exec 9>/proc/self/fd/8
    sleep "$zdu_nap" >&9 2>/dev/null </dev/null 9>&- 8<&- &
    zdu_timer=$!
    exec 9>&-
}

# wait RECORD MILLISECONDS OUT-OFFSET ERR-OFFSET: until it ends, has new output, or time is up.
# The waiter's wake-up comes at once on the channel that started the step; ticks serve the rest.
# What an earlier wait left to be read only makes this one look again.
zdu_wait() {
    zdu_left=$2 zdu_tick=20 zdu_timer=
    # Ticks find output and dead waiters; where no output is wanted there is no hurry.
    [ "$3$4" != -- ] || zdu_tick=250
    while :; do
        # Just launched: looking before the first wake-up would find nothing.
        if [ -n "$zdu_fresh" ]; then zdu_state=running zdu_fresh=; else zdu_state "$1"; fi
        [ "$zdu_state" = running ] && [ "$zdu_left" -gt 0 ] || break
        if [ -z "$zdu_timer" ]; then
            [ "$zdu_tick" -le "$zdu_left" ] || zdu_tick=$zdu_left
            zdu_timer "$zdu_tick"
        fi
        # At the end of the file the timer is gone: a tick.
        if ! IFS= read -r zdu_woken <&8; then
            # Where there is no sleep for parts of a second.
            wait "$zdu_timer" || sleep 1
            zdu_timer= zdu_left=$((zdu_left - zdu_tick))
            [ "$zdu_tick" -ge 80 ] || zdu_tick=$((zdu_tick * 2))
            if zdu_more "$1/out" "$3" || zdu_more "$1/err" "$4"; then
                zdu_state "$1"
                break
            fi
        fi
    done
    [ -z "$zdu_timer" ] || kill "$zdu_timer" 2>/dev/null
}

# bytes FILE OFFSET MAXIMUM
zdu_bytes() {
    [ "$2" != - ] && [ -s "$1" ] || return 0
    if [ "$2" = 0 ]; then
        head -c "$3" <"$1"
    else
        tail -c "+$(($2 + 1))" <"$1" 2>/dev/null | head -c "$3"
    fi
}

# answer RECORD OUT-OFFSET ERR-OFFSET OUT-MAXIMUM ERR-MAXIMUM MARK: the state and the output.
zdu_answer() {
    printf 'zdu1 %s\n' "$zdu_state"
    zdu_bytes "$1/out" "$2" "$4"
    printf '%s' "$6"
    zdu_bytes "$1/err" "$3" "$5"
}

# poll NAME MILLISECONDS OUT-OFFSET ERR-OFFSET OUT-MAXIMUM ERR-MAXIMUM MARK
zdu_poll() {
    zdu_wait "$zdu_base/r.$1" "$2" "$3" "$4"
    zdu_answer "$zdu_base/r.$1" "$3" "$4" "$5" "$6" "$7"
}

# launch RECORD USER COMMAND-TEXT piped|none, in a record just claimed. What claimed it becomes the
# step's script, with who starts it and for whom as its first lines: a file less to make.
zdu_launch() {
    printf '# %s .\n# %s\n%s%s' "$zdu_self" "$2" "$zdu_prologue" "$3" >"$1/starter" || return 1
    if [ "$4" = piped ]; then
        # The input may be secret: memory rather than disk, and no name once it is open.
        zdu_in=$1/in
        [ -d /dev/shm ] && [ -w /dev/shm ] && zdu_in=/dev/shm/.zdu.$zdu_word.$$
        set -C
        # A connection that was lost half-way leaves a part of it, which is worth nothing.
        cat >"$zdu_in" && [ "$(wc -c <"$zdu_in")" -eq "$zdu_length" ] ||
            { rm -f "$zdu_in"; return 1; }
        set +C
        exec 7<"$zdu_in"
        rm -f "$zdu_in"
    else
        exec 7</dev/null
    fi
    # The waiter's script has no file: to make one costs more than to run it.
    exec 6<<END
$zdu_waiter
END
    # Not with "&" where that can be helped: a shell without job control makes such a child ignore
    # INT and QUIT. A setsid that does not know --fork starts nothing.
    if ! "$zdu_setsid" --fork /bin/sh /proc/self/fd/6 "$1" "$zdu_umask" "$zdu_setsid" <&7 7<&-; then
        # With "&" the input must be said at the command itself, or it is /dev/null.
        setsid /bin/sh /proc/self/fd/6 "$1" "$zdu_umask" plain <&7 7<&- &
    fi >/dev/null 2>&1
    exec 6<&- 7<&-
}

# record RECORD: true when it is ours to start. The directory may be made by many; the one who
# makes the file in it starts the step, and everyone else finds it.
zdu_record() {
    [ -d "${1%/*}" ] || zdu_make "$zdu_base/epoch" "${1%/*}" "$1"
    [ -d "$1" ] || mkdir "$1" 2>/dev/null
    { set -C; printf '' >"$1/starter"; } 2>/dev/null
    zdu_claimed=$?
    set +C
    [ "$zdu_claimed" = 0 ] || [ -e "$1/starter" ] || zdu_fail 'cannot create the record'
    return "$zdu_claimed"
}

# begin ROLLOUT STEP.ATTEMPT FLEET EPOCH USER COMMAND-TEXT piped|none MILLISECONDS OUT-MAXIMUM MARK
zdu_begin() {
    umask 077
    zdu_rec=$zdu_base/r.$1/$2
    if ! zdu_epoch "$3" "$4"; then
        printf 'zdu1 %s\n%s' "$zdu_state" "${10}"
        return 0
    fi
    if zdu_record "$zdu_rec"; then
        # Again, now that the record can be seen: a newer controller stores its epoch first and
        # looks for records after, so it sees this one or we see its epoch.
        if ! zdu_epoch "$3" "$4"; then
            rm -rf "$zdu_rec"
            printf 'zdu1 %s\n%s' "$zdu_state" "${10}"
            return 0
        fi
        if ! zdu_launch "$zdu_rec" "$5" "$6" "$7"; then
            rm -rf "$zdu_rec"
            zdu_fail 'cannot write the record'
        fi
        [ "$8" = 0 ] || zdu_fresh=yes
    fi
    # Output alone does not end this wait: a step that says a word and ends costs one request.
    zdu_wait "$zdu_rec" "$8" - -
    zdu_answer "$zdu_rec" 0 0 "$9" "$9" "${10}"
}

# withdraw NAME: claims the record so that nobody ever starts the step, unless somebody has. Asked
# again it says the same.
zdu_withdraw() {
    umask 077
    zdu_rec=$zdu_base/r.$1 zdu_state=begun zdu_wpid=
    if zdu_record "$zdu_rec"; then
        zdu_void "$zdu_rec" withdrawn || zdu_fail 'cannot withdraw the step'
        zdu_state=withdrawn
    elif [ -s "$zdu_rec/waiter" ]; then
        IFS=' ' read -r zdu_wpid zdu_end <"$zdu_rec/waiter"
        [ "$zdu_wpid" != withdrawn ] || zdu_state=withdrawn
    fi
    printf 'zdu1 %s\n' "$zdu_state"
}

# fence FLEET EPOCH: makes the node know the epoch.
zdu_fence() {
    umask 077
    zdu_epoch "$1" "$2" && zdu_state=taken
    printf 'zdu1 %s\n' "$zdu_state"
}

# newest FLEET: the newest epoch this node has seen. Also without a subshell.
zdu_newest() {
    zdu_seen "$1"
    printf 'zdu1 seen %s\n' "$zdu_seen"
}

# signal NAME FLEET EPOCH SIGNAL now|rest: to the step's process group; "rest" also after its end.
zdu_signal() {
    umask 077
    zdu_rec=$zdu_base/r.$1
    zdu_epoch "$2" "$3" || { printf 'zdu1 %s\n' "$zdu_state"; return 0; }
    zdu_state "$zdu_rec"
    # The waiter lives but the step has not said its number yet: a matter of milliseconds.
    zdu_tries=50
    while [ "$zdu_state" = running ] && [ ! -s "$zdu_rec/pid" ] && [ "$zdu_tries" -gt 0 ]; do
        sleep 0.02 || sleep 1
        zdu_tries=$((zdu_tries - 1))
        zdu_state "$zdu_rec"
    done
    case $zdu_state-$5 in never-* | ended*-now | *rebooted*) zdu_send= ;; *) zdu_send=yes ;; esac
    if [ -n "$zdu_send" ] && [ -s "$zdu_rec/pid" ]; then
        IFS=' ' read -r zdu_pid zdu_begun zdu_end <"$zdu_rec/pid"
        { IFS= read -r zdu_user && IFS= read -r zdu_user; } <"$zdu_rec/starter"
        zdu_user=${zdu_user#'# '}
        # A number that now names another process is not ours to signal; a group that outlived
        # its leader keeps the number from being given again.
        if zdu_alive "$zdu_pid" "$zdu_begun" || [ ! -d "/proc/$zdu_pid" ]; then
            if [ -n "$zdu_user" ] && [ "$(id -u)" != 0 ]; then
                sudo -n -u "$zdu_user" -- kill -s "$4" -- "-$zdu_pid" 2>/dev/null
            else
                kill -s "$4" -- "-$zdu_pid" 2>/dev/null
            fi
        fi
    fi
    printf 'zdu1 %s\n' "$zdu_state"
}

# list: "rollout step.attempt state…" a line.
zdu_list() {
    printf 'zdu1 list\n'
    for zdu_rec in "$zdu_base"/r.*/*; do
        [ -d "$zdu_rec" ] || continue
        zdu_state "$zdu_rec"
        zdu_name=${zdu_rec#"$zdu_base"/r.}
        printf '%s %s %s\n' "${zdu_name%%/*}" "${zdu_name#*/}" "$zdu_state"
    done
}

# clean ROLLOUT: removes its records; refuses while a step of it runs. What stays are the newest
# epochs, which refuse an older controller for ever. A start in this very moment finds its record
# gone; it then says that nothing began.
zdu_clean() {
    for zdu_rec in "$zdu_base/r.$1"/*; do
        [ -d "$zdu_rec" ] || continue
        [ -s "$zdu_rec/waiter" ] || continue
        zdu_state "$zdu_rec"
        case $zdu_state in
        running | *alive)
            printf 'zdu1 busy %s\n' "${zdu_rec##*/}"
            return 0
            ;;
        esac
    done
    printf 'zdu1 cleaned\n'
    set -- "$zdu_base/r.$1"
    for zdu_key in "$zdu_base"/epoch/*.*; do
        zdu_name=${zdu_key##*/}
        case ${zdu_name##*.} in '' | *[!0-9]*) continue ;; esac
        zdu_seen "${zdu_name%.*}"
        # Names of a directory reach the disk in the order they were made and removed in, so there
        # is no moment without the newest.
        [ "${zdu_name##*.}" -ge "$zdu_seen" ] || set -- "$@" "$zdu_key"
    done
    # Its exit status is that of the request.
    exec rm -rf "$@"
}

# remove: the whole base, when no records are left. Forgets the epochs too.
zdu_remove() {
    if [ -d "$zdu_base" ]; then
        for zdu_rec in "$zdu_base"/r.*; do
            [ ! -d "$zdu_rec" ] || { printf 'zdu1 busy records\n'; return 0; }
        done
        rm -rf "$zdu_base" || exit 1
    fi
    printf 'zdu1 cleaned\n'
}

# The login's umask, which the kernel tells since 4.7.
while IFS=':	 ' read -r zdu_key zdu_umask; do
    [ "$zdu_key" != Umask ] || break
    zdu_umask=
done </proc/self/status
[ -n "$zdu_umask" ] || zdu_umask=$(umask)
zdu_fresh= zdu_setsid=setsid
# By its path: busybox' shell takes its own setsid, whatever PATH says.
zdu_ifs=$IFS IFS=:
for zdu_key in $PATH; do
    if [ -x "$zdu_key/setsid" ]; then
        zdu_setsid=$zdu_key/setsid
        break
    fi
done
IFS=$zdu_ifs
IFS= read -r zdu_boot </proc/sys/kernel/random/boot_id
# Who starts steps here, for those who find a record and no waiter.
zdu_self() { shift 19; zdu_self="$$ $1 $zdu_boot"; }
IFS= read -r zdu_stat <"/proc/$$/stat"
zdu_self ${zdu_stat##*) }
# What wakes who waits: a pipe of which we hold the end that is read. The waiter opens the other end
# to say a word, and a timer ends what is read by its own end. Most shells make a pipe for a text in
# the script; where it became a file there must be a name for a moment.
exec 8<<END

END
if [ -p /proc/self/fd/8 ]; then
    IFS= read -r zdu_woken <&8
else
    (umask 077; mkdir -p "$zdu_base" && mkfifo "$zdu_base/$zdu_word.wake") &&
        exec 8<>"$zdu_base/$zdu_word.wake" && exec 8</proc/self/fd/8 &&
        rm -f "$zdu_base/$zdu_word.wake"
fi
