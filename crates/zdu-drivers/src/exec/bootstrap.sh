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
        define)
            zdu_script=$(head -c "$zdu_length")
            eval "$zdu_script" </dev/null
            zdu_exit=$?
            ;;
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
        printf '\n%s%s %s\n' "$zdu_a" "$zdu_b" "$zdu_exit"
        printf '\n%s%s 0\n' "$zdu_a" "$zdu_b" >&2
    done
}
