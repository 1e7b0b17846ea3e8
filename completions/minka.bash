# SPDX-License-Identifier: Apache-2.0
# bash completion for minka(1). Verbs and options come from the program itself (`minka help --options`), so that they
# cannot fall behind it; container ids from `minka list -q`.

_minka() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} program=${COMP_WORDS[0]}
    local options verb='' word
    options=$("$program" help --options 2>/dev/null) || return
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        if [[ $word != -* ]] && grep -q "^$word\( \|$\)" <<<"$options"; then
            verb=$word
            break
        fi
    done
    # an option that takes an argument: files, directories or words
    case $previous in
    --format | -f) [[ $verb == delete ]] || { mapfile -t COMPREPLY < <(compgen -W "table json" -- "$current"); return; } ;;
    --log-format) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$current"); return ;;
    --cgroup-manager) mapfile -t COMPREPLY < <(compgen -W "cgroupfs systemd disabled" -- "$current"); return ;;
    --bundle | -b | --root) mapfile -t COMPREPLY < <(compgen -d -- "$current"); return ;;
    --*) if grep -q "^${verb:-minka} $previous " <<<"$options"; then
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return
        fi ;;
    esac
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(sed -n "s/^${verb:-minka} \(--[^ ]*\).*/\1/p" <<<"$options") --help" -- "$current")
    elif [[ -z $verb ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(cut -d' ' -f1 <<<"$options" | sort -u | grep -vx minka) help" -- "$current")
    elif [[ $verb == image ]]; then
        mapfile -t COMPREPLY < <(compgen -W "build list remove" -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -W "$("$program" list -q 2>/dev/null)" -- "$current")
    fi
}
complete -F _minka minka
