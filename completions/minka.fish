# SPDX-License-Identifier: Apache-2.0
# fish completion for minka(1). Verbs and options come from the program itself (`minka help --options`).

function __minka_verb
    set -l verbs (minka help --options 2>/dev/null | string split -f 1 ' ' | sort -u)
    for word in (commandline -opc)[2..-1]
        if contains -- $word $verbs; and test $word != minka
            echo $word
            return
        end
    end
    echo minka
end

function __minka_words
    set -l verb (__minka_verb)
    set -l token (commandline -ct)
    if string match -q -- '-*' $token
        minka help --options 2>/dev/null | string match -r -g "^$verb (--\S+)"
        echo --help
    else if test $verb = minka
        minka help --options 2>/dev/null | string split -f 1 ' ' | sort -u | string match -v minka
        echo help
    else if test $verb = image
        printf '%s\n' build list remove
    else
        minka list -q 2>/dev/null
    end
end

complete -c minka -a '(__minka_words)'
