# Runs in the booted root, as a service. See package.py.
set -eu
trap 'code=$?; [ $code = 0 ] || { echo "failed, exit code $code"; journalctl --no-pager --lines 60 --unit "memtide-*"; }' EXIT

fail() { echo "$*"; exit 1; }
show() { systemctl show --value --property "$2" "memtide-$1"; }
# A watchdog of 30 s is long to wait for.
mkdir -p /etc/systemd/system/memtide-.service.d
printf '[Service]\nWatchdogSec=2s\n' >/etc/systemd/system/memtide-.service.d/20-check.conf
systemctl daemon-reload

# `timeout` bounds each wait; systemd itself says what is so.
until_restarted() {
    timeout 60 sh -c "until [ \"\$(systemctl show --value --property NRestarts memtide-$1)\" = $2 ] &&
        [ \"\$(systemctl is-active memtide-$1)\" = active ]; do sleep 0.1; done" || fail "$1 was not started again"
}
is_ready() {
    timeout 60 sh -c "until memtide healthcheck $1 --ready; do sleep 0.1; done" || fail "$1 is not ready"
}

for role in serve scaler engine proxy; do
    [ "$(systemctl is-active memtide-$role)" = inactive ] || fail "$role runs, though nobody has asked for it"
done
systemctl start memtide-serve
memtide healthcheck
echo "ok serve has started, and was ready when systemd said so"
[ "$(stat -c %U "/proc/$(show serve MainPID)")" = memtide ] || fail "it is not of the user memtide"
[ "$(stat -c '%a %U' /var/lib/memtide/memtide-serve/tls/server.key)" = "600 memtide" ] || fail "its key is open"
systemctl reload memtide-serve
memtide healthcheck
kill -KILL "$(show serve MainPID)"
until_restarted serve 1
echo "ok one that is killed is started again"
kill -STOP "$(show serve MainPID)"
until_restarted serve 2
memtide healthcheck
echo "ok one that hangs is, too"
systemctl stop memtide-serve
[ "$(show serve Result)" = success ] || fail "it stopped with $(show serve Result)"

memtide tls init --dir /etc/memtide/fleet
chown -R memtide /etc/memtide/fleet
echo 'fleet_tls = "/etc/memtide/fleet"' >/etc/memtide/scaler.toml
printf 'fleet_tls = "/etc/memtide/fleet"\njoin = "127.0.0.1:11213"\nzone = "a"\n' >/etc/memtide/engine.toml
cp /etc/memtide/engine.toml /etc/memtide/proxy.toml
# Nobody here knows this host's name.
printf 'memory = "64m"\nadvertise = "127.0.0.1"\n' >>/etc/memtide/engine.toml
systemctl start memtide-scaler memtide-engine memtide-proxy
is_ready proxy
echo "ok a scaler, a node and a proxy are a fleet"
systemctl stop memtide-proxy memtide-engine memtide-scaler
for role in proxy scaler; do
    [ "$(show $role Result)" = success ] || fail "$role stopped with $(show $role Result)"
done
# The only node: nobody takes what it has.
[ "$(show engine Result)" = exit-code ] || fail "the last node stopped with $(show engine Result)"
echo 'join = 1' >/etc/memtide/proxy.toml
! systemctl start memtide-proxy 2>/dev/null || fail "it started with a mistake in its file"
[ "$(show proxy NRestarts)" = 0 ] || fail "a mistake in the file was tried again"
echo "ok all"
