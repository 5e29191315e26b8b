zdu_told() {
    printf '\n%s%s %s\n' "$zdu_a" "$zdu_b" "$1"
    printf '\n%s%s 0\n' "$zdu_a" "$zdu_b" >&2
}
# Returns 1 for a definition: the shell itself reads it next, faster than any loop of it could.
zdu_serve() {
    while IFS=' ' read -r zdu_mode zdu_lines zdu_length zdu_a zdu_b; do
        zdu_script=
        while [ "$zdu_lines" -gt 0 ]; do
            IFS= read -r zdu_line || exit 0
            zdu_script="$zdu_script$zdu_line
"
            zdu_lines=$((zdu_lines - 1))
        done
        case $zdu_mode in
        bye) exit 0 ;;
        define) return 1 ;;
        plain)
            (eval "$zdu_script") </dev/null
            zdu_exit=$?
            ;;
        piped)
            head -c "$zdu_length" | {
                (eval "$zdu_script")
                zdu_exit=$?
                cat >/dev/null
                exit "$zdu_exit"
            }
            zdu_exit=$?
            ;;
        esac
        zdu_told "$zdu_exit"
    done
}
