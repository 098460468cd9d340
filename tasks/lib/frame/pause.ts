/** Waits so many milliseconds. `idle`: a process that has nothing else to do ends meanwhile. */
export function pause(ms: number, idle = false): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    if (idle) timer.unref()
  })
}
