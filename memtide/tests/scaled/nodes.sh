#!/bin/sh
# Nodes for `memtide scaler --provision /bin/sh,nodes.sh,DIRECTORY,PROGRAM,COUNT,ECPUS`, at most COUNT in each of two
# zones. A node has a directory of its own in DIRECTORY/nodes while it is wanted; `started` and `ended` name those that
# were started and ended, each once.
set -eu
directory=$1 program=$2 count=$3 ecpus=$4 call=$5
order=$(cat)

of() { printf %s "$order" | sed -n 's/.*"'"$1"'":"\{0,1\}\([^",}]*\).*/\1/p'; }

lives() { [ ! -e "$1/pid" ] || grep -q '^State:.[^ZX]' "/proc/$(cat "$1/pid")/status" 2>/dev/null; }

left() {
    left=$count
    for node in "$directory"/nodes/*-"$1"; do
        if [ -d "$node" ] && lives "$node"; then left=$((left - 1)); fi
    done
    echo $((left > 0 ? left : 0))
}

case $call in
supplies)
    of_each='"memory":"64MiB","cpus":1,"ecpu":'$ecpus',"ready_in":"2s"'
    echo "[{\"zone\":\"a\",\"nodes\":$(left a),$of_each},{\"zone\":\"b\",\"nodes\":$(left b),$of_each}]"
    ;;
start)
    node=$directory/nodes/$(of instance)-$(of zone)
    mkdir "$node" 2>/dev/null || exit 0
    # It takes as long to start as the test wants.
    (
        while [ -e "$directory/hold" ]; do sleep 0.1; done
        exec "$program" engine --join "$(cat "$directory/join")" --fleet-tls "$directory/tls" \
            --bind 127.0.0.1 --port 0 --admin 127.0.0.1:0 --log-format json \
            --instance "$(of instance)" --zone "$(of zone)" \
            --memory 64m --cpus 1 --ecpu-max "$ecpus"
    ) >/dev/null 2>"$node/log" </dev/null &
    echo $! >"$node/pid.new"
    mv "$node/pid.new" "$node/pid"
    echo "$(of instance)" >>"$directory/started"
    ;;
resize) ;;
end)
    for node in "$directory"/nodes/"$(of instance)"-?; do
        [ -d "$node" ] || exit 0
        # It has left or was never wanted: nothing is lost with it.
        kill -9 "$(cat "$node/pid")" 2>/dev/null || true
        rm -r "$node"
        echo "$(of instance)" >>"$directory/ended"
    done
    ;;
*)
    echo "what is $call?" >&2
    exit 1
    ;;
esac
