# The set-up lines of a profile: part of every batch script. Expects a function ganymede_attempt, which
# records the end of a job whose set-up has failed, and ganymede_pickle, the job's pickle.

ganymede_say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*"; }

# A set-up line from the profile; the first that fails is named, and fails the job. It sees no
# arguments, which conda's activate would take for its own, and leaves no `set -e` behind.
ganymede_setup() {
    [ -z "${ganymede_setup_failed:-}" ] || return 0
    ganymede_line=$1
    set --
    trap 'ganymede_left_in_setup $?' EXIT
    eval "$ganymede_line" ||
        ganymede_setup_failed="set-up line failed with status $?: $ganymede_line"
    set +eu
    case $(trap -p EXIT) in
    *ganymede_left_in_setup*) trap - EXIT ;;
    esac
}

# A set-up line said `exit`: this too is recorded as the job's end.
ganymede_left_in_setup() {
    trap - EXIT
    set +eu
    ganymede_setup_failed="set-up line left with status $1: $ganymede_line"
    ganymede_attempt "$ganymede_pickle"
    exit $?
}
