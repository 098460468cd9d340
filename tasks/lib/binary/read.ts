// Reads binaries, which may have a hundred megabytes.
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'

const piece = 4 * 1024 * 1024 // bytes that are read while those before are hashed

export interface Binary {
  /** In memory that a thread can be given without a copy. */
  readonly bytes: Buffer
  /** 64 hexadecimal digits. */
  readonly sha256: string
}

/** Reads a file and hashes it meanwhile; whatever else is to be done goes on. Rejects as node:fs does. */
export async function readBinary(file: string): Promise<Binary> {
  const handle = await open(file)
  try {
    const { size } = await handle.stat()
    const bytes = Buffer.from(new SharedArrayBuffer(size))
    const hash = createHash('sha256')
    const from = (at: number) => handle.read(bytes, at, Math.min(piece, size - at), at)
    let at = 0
    for (let reading = from(0); at < size;) {
      const { bytesRead } = await reading
      if (bytesRead === 0) break // it was shortened meanwhile
      const begin = at
      at += bytesRead
      if (at < size) reading = from(at)
      hash.update(bytes.subarray(begin, at))
    }
    return { bytes: bytes.subarray(0, at), sha256: hash.digest('hex') }
  } finally {
    await handle.close()
  }
}
