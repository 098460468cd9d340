#!/bin/sh
# Runs in the pod beside Delve for as long as debug-dev stands in between: tasks/lib/debug/guard.ts starts it.
#
#   debug-guard.sh PORT DLV BINARY AGENT...
#
# Each line on stdin is answered by one: the number of the socket that listens on PORT, another for each Delve, or `closed`.
# So nobody has to try the port, which would end kubectl's port-forward. `idle` and `busy` also say that debug-dev is still
# there, without and with an IDE, `bye` that it leaves in good order. Where it vanishes with its IDE instead, or is silent
# for long (a killed debug-dev, a laptop that sleeps, a cut link), the breakpoints that it left behind are cleared and the
# program runs on: no request of a colleague hangs in them.
set -u

patience=5 # turns of 2 s without a word

# Does anybody listen on the port? Sets inode. Listeners come first in these tables.
listening() {
  for table in /proc/net/tcp /proc/net/tcp6; do
    {
      read -r _
      while read -r _ address _ state _ _ _ _ _ inode _; do
        [ "$state" = 0A ] || break
        [ "${address##*:}" != "$hex" ] || return 0
      done
    } 2>/dev/null <"$table"
  done
  return 1
}

# A program that its debugger has halted, as the agent sees it.
halted() {
  case $("$@" status "$binary" 2>/dev/null) in *reason=halted*) return 0 ;; esac
  return 1
}

# Clears the breakpoints and lets the program run, with Delve's own client; at most 5 s, since a halt waits for ever while
# a client that sleeps has the program running.
let_go() {
  listening || return 0
  "$dlv" connect "127.0.0.1:$port" --init /dev/fd/3 3<<END </dev/null >/dev/null 2>&1 &
clearall
exit -c
END
  client=$! turns=0
  while kill -0 $client 2>/dev/null && [ $turns -lt 50 ]; do
    sleep .1
    turns=$((turns + 1))
  done
  kill $client 2>/dev/null && wait $client
} 2>/dev/null

# AGENT...: looks every two seconds whether debug-dev is silent or gone.
watch() {
  silent=0 busy=1 # the first word may come before the traps are there
  trap 'silent=0 busy=' USR1
  trap 'silent=0 busy=1' USR2
  while kill -0 $$ 2>/dev/null; do
    sleep 2 &
    wait $! # a word cuts it short
    silent=$((silent + 1))
    if [ -n "$busy" ] && [ $silent -gt $patience ] && halted "$@"; then let_go; fi
  done
  [ -z "$busy" ] || let_go
}

main() {
  port=$1 dlv=$2 binary=$3
  shift 3
  hex=$(printf '%04X' "$port")
  trap '' USR1 USR2 # until it has its own traps, they would end it
  watch "$@" </dev/null >/dev/null &
  watcher=$! last=
  while read -r word; do
    case $word in
      bye) break ;;
      idle) kill -USR1 $watcher ;;
      busy) kill -USR2 $watcher ;;
    esac
    [ "$word" = look ] || last=$word
    if listening; then printf '%s\n' "$inode"; else printf 'closed\n'; fi
  done
  kill -KILL $watcher
  [ "$last" != busy ] || [ "$word" = bye ] || let_go
}

main "$@"
