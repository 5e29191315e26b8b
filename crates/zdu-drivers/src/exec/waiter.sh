# zdu: starts one step, waits for its end and records it. Arguments: record, umask, and the path
# of util-linux' setsid or "plain". File descriptor 0 is the step's input, 6 this script, 8 wakes
# who waits.
umask 077
rec=$1 mask=$2 mode=$3
exec 6<&-
IFS= read -r boot </proc/sys/kernel/random/boot_id
IFS= read -r stat <"/proc/$$/stat"
set -- ${stat##*) }
# Whoever makes this file decides: we start the step, or someone found it unstarted for good.
set -C
printf '%s %s %s .\n' "$$" "${20}" "$boot" >"$rec/waiter" || exit 0
set +C
# What follows the first line of it was told on standard error.
exec 2>>"$rec/waiter"
if [ "$mode" != plain ]; then
    # util-linux: says on standard error when the step did not exit, and then returns the raw
    # wait status, so that "exit 137" and "signal 9" differ.
    "$mode" --fork --wait /bin/sh "$rec/starter" "$rec" "$mask" 8>&-
    code=$?
else
    # The shell itself names the signal on standard error, except INT and PIPE.
    setsid /bin/sh "$rec/starter" "$rec" "$mask" 8>&-
    code=$?
fi
kind=exited told=
# Other words there are of the shell that came up for the step: a locale it does not have.
{
    IFS= read -r line
    while IFS= read -r line; do
        case $mode:$line in
        plain:*setlocale*) ;;
        plain:* | *:*setsid:*) told=yes ;;
        esac
    done
} <"$rec/waiter"
if [ -n "$told" ]; then
    # Who has killed setsid, not the step? Then the step still runs and there is no end to record.
    if IFS=' ' read -r pid start end <"$rec/pid" && IFS= read -r stat <"/proc/$pid/stat"; then
        stat=${stat##*) }
        set -- $stat
        case $1 in Z | X) ;; *) [ "${20}" != "$start" ] || exit 1 ;; esac
    fi
    kind=signaled code=$((code & 127))
fi 2>/dev/null
# One short write, whole only with its final dot: after a power cut it is there or counts as absent.
# Who waits need not wait for the disk.
printf '%s %s .\n' "$kind" "$code" >"$rec/exit" || exit 1
echo ended >/proc/self/fd/8
exec sync "$rec/exit" "$rec" 2>/dev/null
