# Completion of syncd in bash. Print it with `syncd completion bash`.

_syncd() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("${line%%$'\t'*}")
    done < <("$1" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}

# Where nothing is known files are offered: for --config and the like.
complete -o default -F _syncd syncd
