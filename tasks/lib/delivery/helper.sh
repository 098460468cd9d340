# Keeps the agent's helper in a pod: SIZE bytes on stdin, under a name that holds its sha256, if that is right and it runs
# there. Sent as text: sh -c TEXT AGENT STATE SHA256 SIZE gzip|raw, with the agent's path and the folder of its state.
case $0 in */agent/hotswap-dev) PATH=${0%/agent/*}/bin:$PATH ;; esac # the tools of an injected agent
folder=$1/bin came=$1/bin/.helper.$$

refuse() { # REASON [LINE]
  rm -f "$came"
  more=${2:-}
  set -f
  # shellcheck disable=SC2086 # its words on one line: gzip begins with an empty one
  set -- $1
  printf 'result=rejected\nreason=%s\n%s\n' "$*" "${more:+$more
}"
  exit 3
}

for tool in head sha256sum; do
  command -v "$tool" >/dev/null || refuse "there is no $tool"
done
unpack='cat'
if [ "$4" = gzip ]; then
  command -v gzip >/dev/null || refuse 'there is no gzip' wants=raw
  unpack='gzip -dc'
fi
said=$({ [ -d "$folder" ] || mkdir -m 700 "$folder" || [ -d "$folder" ]; } 2>&1) || refuse "$said" # another may make it too
for left in "$folder"/.helper.*; do
  [ -e "/proc/${left##*.}" ] || rm -f "$left"
done
trap 'refuse "the link was cut"' HUP TERM INT
said=$({ head -c "$3" | $unpack >"$came"; } 2>&1)
sum=$({ sha256sum <"$came"; } 2>/dev/null) || refuse "$said"
[ "${sum%% *}" = "$2" ] || refuse "${said:-it is damaged}"
said=$({ chmod 755 "$came" && "$came" version; } 2>&1) || refuse "$said"
said=$(mv -f "$came" "$folder/hotswap-helper-$2" 2>&1) || refuse "$said"
# those of three developers, or of three versions, stay
# shellcheck disable=SC2012 # their names are hexadecimal
ls -t "$folder"/hotswap-helper-* | tail -n +4 | while IFS= read -r old; do rm -f "$old"; done
printf 'result=installed\n\n'
