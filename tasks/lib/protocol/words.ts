// The agent's words that decide what a task does next. A test finds each of them in the agent. Pure.

/** At the end of what the agent says to words that it does not know. */
export const WRONG_USE = '(hotswap-dev --help)'
/** Of a refusal, at its beginning: the pod's disk is full. */
export const DISK_FULL = 'disk full'
/** Of `writable` in a greeting, at its beginning: the disk does not take a binary, rather than the folder. */
export const NO_DISK = 'no: the disk '
/** Of a refusal: what ran at the greeting runs no more. */
export const ANOTHER_RUNS = 'another binary runs by now'
/** Of a refusal: the binary needs a loader that the container does not have. */
export const NEEDS_LOADER = 'it needs the ELF interpreter'
/** Of a refusal, behind whose upload it is. */
export const SINCE = 'since'
/** Of a wait: the new process is there, and has to live SETTLE. */
export const TO_LIVE = 'for the new process to live'
/** At the end of a reason: the agent has no program. */
export const WAITING_FOR_ONE = ': waiting for one'
/** The debugger has halted the program. */
export const HALTED = 'halted'
/** The program runs on, its debugger has ended. */
export const NO_DEBUGGER = 'no debugger'
/** The agent has not looked yet. */
export const JUST_ENDED = 'it has just ended'
/** Within a reason: the debugger has not come to start the program. */
export const NOT_STARTED = 'not started by its wrapper'
/** At the beginning of a reason: how the program ended by itself. */
export const EXIT_STATUS = 'exit status'
/** Of a row: a swap is done. */
export const SWAPPED = 'killed & restarted'
/** Of a row: it was an upload. */
export const PUT = 'PUT'
