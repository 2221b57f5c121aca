# Completion of syncd in fish. Print it with `syncd completion fish`.

function __syncd_complete
    set -l typed (commandline -opc)
    set -l begun (commandline -ct)
    set -l found ($typed[1] __complete $typed[2..-1] "$begun" 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path "$begun"
    end
end

complete --command syncd --no-files --arguments '(__syncd_complete)'
