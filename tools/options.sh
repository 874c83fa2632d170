# Sourced by scripts that put settings of theirs in front of the user's, for --cfg-options may be given once only.

# split_options ARGUMENT...: KEY=VALUE ... of --cfg-options behind those in the array `options`, the others into `rest`.
split_options() {
    rest=()
    while [ $# -gt 0 ]; do
        if [ "$1" = --cfg-options ]; then
            shift
            while [ $# -gt 0 ] && [[ $1 != --* ]]; do
                options+=("$1")
                shift
            done
        else
            rest+=("$1")
            shift
        fi
    done
}
