# completion.bash: completes the command lines of streamavatar in bash: commands, keys, what a key may be, files. It
# knows no names: commands and keys are what the programs say (help, --help-config), asked once a shell. Installed it is
# found by itself; else:
#   . scripts/completion.bash
declare -gA _streamavatar_said

_streamavatar_commands() {
    [ -n "${_streamavatar_said[help]}" ] ||
        _streamavatar_said[help]=$("$1" help 2>/dev/null | sed -n 's/^  \([a-z_]*\)  .*/\1/p')
    echo ${_streamavatar_said[help]}
}

# Lines "KEY TYPE" of a command's keys
_streamavatar_keys() {
    [ -n "${_streamavatar_said[$2]}" ] ||
        _streamavatar_said[$2]=$("$1" "$2" --help-config 2>/dev/null | sed -n 's/^  \([a-z][^ ]*\)  *\(.*\)/\1 \2/p')
    echo "${_streamavatar_said[$2]}"
}

_streamavatar() {
    local line=${COMP_LINE:0:COMP_POINT} program=${COMP_WORDS[0]} command=${COMP_WORDS[1]} word key values before
    word=${line##*[[:space:]]}
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ] || { [ "$COMP_CWORD" -eq 2 ] && [ "$command" = help ]; }; then
        _streamavatar_commands "$program" >/dev/null
        COMPREPLY=($(compgen -W "${_streamavatar_said[help]}" -- "$word"))
        return
    fi
    case $word in
    -*) COMPREPLY=($(compgen -W "--help --help-config --version --plan" -- "$word")) ;;
    *=*)
        _streamavatar_keys "$program" "$command" >/dev/null
        key=${word%%=*} before=
        values=$(sed -n "s/^$key one of \([^;]*\);.*/\1/p; s/^$key yes or no.*/yes no/p" \
            <<<"${_streamavatar_said[$command]}")
        case $COMP_WORDBREAKS in *=*) ;; *) before="$key=" ;; esac # without "=" there the reply replaces the whole word
        mapfile -t COMPREPLY < <(
            if [ -n "$values" ]; then
                compgen -P "$before" -W "${values//,/ }" -- "${word#*=}"
            else
                compgen -P "$before" -f -- "${word#*=}"
            fi
        )
        [ -n "$values" ] || compopt -o filenames 2>/dev/null
        ;;
    *)
        _streamavatar_keys "$program" "$command" >/dev/null
        mapfile -t COMPREPLY < <(
            compgen -S = -W "$(sed 's/ .*//' <<<"${_streamavatar_said[$command]}")" -- "$word"
            compgen -f -- "$word"
        )
        case ${COMPREPLY[0]} in *=) compopt -o nospace 2>/dev/null ;; esac
        ;;
    esac
}
complete -F _streamavatar streamavatar
