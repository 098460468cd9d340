// thread.ts if nothing has compiled it: tsx reaches a thread through its API alone.
import { tsImport } from 'tsx/esm/api'

await tsImport('./thread.ts', import.meta.url)
