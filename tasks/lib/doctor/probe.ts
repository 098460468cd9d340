// The probe: what a pod says of itself when it is asked, and how fast the way there is. It leaves nothing there.
import { agentShell } from '../protocol/command.ts'
import { complaint } from '../pods/complaint.ts'
import { receipts } from '../protocol/receipt.ts'
import { UserError } from '../frame/talk.ts'
import { withoutPipes, type Pod, type Target } from '../pods/target.ts'

export interface Probe {
  /**
   * `uid`, `clock` (seconds since 1970); where Delve is there: `delve` (its version, empty if it
   * does not run) and `ptrace` (`yes`, or what Delve said), or else `room` (bytes) where its limit leaves too few to try it;
   * `interpreter` (`yes` or `no`), if one was asked for; `writable` and `free` as in a greeting, if the pod has no helper yet.
   */
  readonly values: ReadonlyMap<string, string>
  /** Seconds that the pod's clock is ahead of this machine's. */
  readonly ahead: number
  /** ms from the start of an exec to its first word: what is asked first takes a part of it. */
  readonly exec: number
  /** ms of a line there and back. */
  readonly trip: number
  /** ms of `sample` bytes on their way there. */
  readonly upload: number
}

/** Bytes that are sent to measure an upload. */
export const sample = 2_000_000

const trips = 5
const limit = 20_000 // ms
/** Bytes that Delve may take when it is tried. */
export const delveRoom = 64_000_000

// $1: BINARY; $2: the memory limit, or 0: a Delve that is too much for it would get the program killed; $3: the ELF
// interpreter that the binary needs, or nothing; $4: missing, if no helper is there to try the folder, which is tried here as
// it does. Delve is the one that was sent, as the agent finds it, else the image's. Whether it may trace is tried on a program
// that is nobody's, and that never begins: Delve holds it halted, and ends.
const script = `
printf 'begun=yes\\n\\n'
for dlv in "\${1%/*}/.hotswap-\${1##*/}/bin/dlv" /tmp/.hotswap*"%\${1##*/}/bin/dlv" /dev/shm/.hotswap*"%\${1##*/}/bin/dlv" "$(command -v dlv)"; do
  [ ! -x "$dlv" ] || break
  dlv=
done
[ -z "$3" ] || { [ -x "$3" ] && printf 'interpreter=yes\\n'; } || printf 'interpreter=no\\n'
if [ "$4" = missing ]; then
  folder=\${1%/*} try=\${1%/*}/.hotswap-try.$$
  said=$({ printf '' >"$try"; } 2>&1)
  if [ -f "$try" ]; then
    chmod 755 "$try"
    ("$try") >/dev/null 2>&1
    [ $? != 126 ] && can=yes || can="no: $folder is mounted noexec"
    rm -f "$try"
  else
    case $said in
      *ead-only*) can="no: $folder is read-only" ;;
      *space*) can="no: the disk of $folder is full" ;;
      *) can="no: $folder takes no file" ;;
    esac
  fi
  printf 'writable=%s\\n' "$can"
  df -Pk "$folder" 2>/dev/null | while read -r _ _ _ kib _; do case $kib in [0-9]*) printf 'free=%s\\n' $((kib * 1024)) ;; esac; done
fi
printf 'uid=%s\\n' "$(id -u)"
for file in /sys/fs/cgroup/memory.current /sys/fs/cgroup/memory/memory.usage_in_bytes; do
  [ ! -r "$file" ] || read -r used <"$file"
done
room=$(($2 - \${used:-0}))
if [ -n "$dlv" ] && [ "$2" != 0 ] && [ $room -le ${delveRoom} ]; then
  printf 'room=%s\\n' $room
elif [ -n "$dlv" ]; then
  printf 'delve=%s\\n' "$("$dlv" version 2>&1 | while read -r key value; do [ "$key" != Version: ] || echo "$value"; done)"
  for some in /bin/true /bin/busybox /bin/sh; do [ ! -x "$some" ] || break; done
  said=$("$dlv" exec --allow-non-terminal-interactive=true "$some" </dev/null 2>&1) && said=yes
  printf 'ptrace=%s\\n' "$(printf '%s' "$said" | tail -n 1)"
fi
printf 'clock=%s\\n\\n' "$(date +%s)"
while read -r word count; do
  [ "$word" != take ] || head -c "$count" >/dev/null
  printf 'word=%s\\n\\n' "$word"
done`

/** Asks a pod; `helper` is what its greeting says of that. Throws UserError if it does not answer within 20 s. */
export async function probe(target: Target, pod: Pod, interpreter = '', helper = ''): Promise<Probe> {
  const begin = performance.now()
  const memory = pod.memory === undefined || pod.memory.limit === Infinity ? 0 : Math.floor(pod.memory.limit)
  const words = ['-c', script, 'probe', pod.binary, String(memory), interpreter, helper]
  const child = target.exec(pod, [...agentShell(pod.agent), ...words])
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-4096)))
  const { stdin, stdout } = child
  if (!stdin || !stdout) throw new UserError(`${pod.name}: ${withoutPipes}`)
  stdin.on('error', () => undefined)
  child.once('error', (error) => (stderr += error.message))
  const timer = setTimeout(() => stdout.destroy(), limit)
  const blocks = receipts(stdout)
  const next = async () => {
    const block = await blocks.next().catch(() => undefined) // the pipe was closed from here
    if (block !== undefined && block.done !== true) return block.value
    const { what, next: remedy } = complaint(stderr)
    const why = what || `no answer for ${limit / 1000} s`
    throw new UserError(`${pod.name}: it cannot be asked (${why})${remedy === '' ? '' : ` - ${remedy}`}`)
  }
  const timed = async (words: string | Buffer) => {
    const from = performance.now()
    stdin.write(words)
    await next()
    return performance.now() - from
  }
  try {
    await next()
    const exec = performance.now() - begin
    const { values } = await next()
    const heard = Date.now()
    const all: number[] = []
    for (let turn = 0; turn < trips; turn += 1) all.push(await timed('back\n'))
    const trip = all.sort((a, b) => a - b)[Math.floor(trips / 2)] ?? 0
    const upload = await timed(Buffer.concat([Buffer.from(`take ${sample}\n`), Buffer.alloc(sample, 'x')]))
    const ahead = Number(values.get('clock')) - Math.floor((heard - trip / 2) / 1000)
    return { values, ahead, exec, trip, upload: Math.max(0, upload - trip) }
  } finally {
    clearTimeout(timer)
    child.kill()
    stdout.destroy()
    child.stderr?.destroy()
  }
}
