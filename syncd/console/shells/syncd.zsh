#compdef syncd
# Completion of syncd in zsh. Print it with `syncd completion zsh`; as a file it is called _syncd.

_syncd() {
    local line word
    local -a found
    while IFS= read -r line; do
        word="${line%%$'\t'*}"
        found+=("${word//:/\\:}:${line#*$'\t'}")
    done < <("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( ${#found} )); then
        _describe -V 'syncd' found
    else
        _files
    fi
}

if [ "${funcstack[1]}" = "_syncd" ]; then
    _syncd "$@"
else
    compdef _syncd syncd
fi
